package document_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// asOf takes a record back to the sequence that its digest covers, by the rule of
// docs/record.md and with nothing but the record.
func asOf(r document.Record, n uint64) document.Record {
	r.AsOfSequence, r.Phase = n, "record"
	r.AsOf, r.ProcedureVersion = time.Time{}, ""
	r.Planned, r.Incident, r.FollowUpActions, r.Signatures, r.TakenBackBy, r.Quarantine = nil, nil, nil, nil, nil, nil
	r.Waits, r.Closer, r.Rollbacks = nil, nil, nil
	outcome := *r.Outcome
	outcome.RecordedAt, outcome.RecordedBy, outcome.RecordDigest, outcome.RecordAsOf, outcome.ClosedAt = nil, "", "", 0, nil
	r.Outcome = &outcome
	later := func(e document.Entry) bool { return e.Sequence > n }
	for _, list := range []*[]document.Entry{
		&r.Holds, &r.Notices, &r.Execution, &r.Verifications, &r.Rollback, &r.Escalations, &r.Decisions,
	} {
		*list = slices.DeleteFunc(slices.Clone(*list), later)
	}
	var dropped []string
	for _, l := range r.Timeline {
		if l.Sequence > n {
			dropped = append(dropped, l.Text)
		}
	}
	r.Timeline = slices.DeleteFunc(slices.Clone(r.Timeline), func(l document.Line) bool { return l.Sequence > n })
	r.Rejected = slices.DeleteFunc(slices.Clone(r.Rejected), func(x document.Rejected) bool { return x.Sequence > n })
	if r.Review != nil && r.Review.Sequence > n {
		r.Review, r.FollowUps = nil, []document.Message{}
	}
	end := slices.IndexFunc(r.Timings.Phases, func(p document.PhaseTime) bool { return p.Phase == "record" })
	r.Timings.Phases = slices.Clone(r.Timings.Phases[:end+1])
	r.Timings.Phases[end].Time = 0
	r.People = slices.DeleteFunc(slices.Clone(r.People), func(p document.Person) bool {
		switch p.Part {
		case "reviewer":
			return r.Review == nil
		case "operator":
			return !slices.ContainsFunc(r.Timeline, func(l document.Line) bool {
				return l.Actor == p.Person && !slices.Contains([]string{
					"requested", "approval_given", "approval_withdrawn", "rejected", "review_completed",
				}, l.Type)
			})
		}
		return false
	})
	r.Deviations = slices.DeleteFunc(slices.Clone(r.Deviations), func(d string) bool {
		return strings.HasSuffix(d, "messages on the bus do not count") || strings.HasPrefix(d, "a retrospective review is owed until ")
	})
	for _, text := range dropped {
		for i := len(r.Deviations) - 1; i >= 0; i-- {
			if r.Deviations[i] == text {
				r.Deviations = slices.Delete(r.Deviations, i, i+1)
				break
			}
		}
	}
	if due := reviewDue(r); due != "" && r.Review == nil {
		r.Deviations = append(r.Deviations, "a retrospective review is owed until "+due)
	}
	if n := len(r.Rejected); n > 0 {
		r.Deviations = append(r.Deviations, fmt.Sprintf("%d messages on the bus do not count", n))
	}
	return r
}

// reviewDue is when the authorization says that a review is due, in whole seconds.
func reviewDue(r document.Record) string {
	if r.Authorization == nil {
		return ""
	}
	var authorized struct {
		Due string `json:"review_due"`
	}
	if json.Unmarshal(r.Authorization.Event, &authorized) != nil || authorized.Due == "" {
		return ""
	}
	return authorized.Due[:len("2006-01-02T15:04:05")] + "Z"
}

// TestTheRecordDigestCanBeComputedFromTheRecord closes records with their digest as
// the recorder does, lets the releases go on, and computes the digest again from
// the JSON that anybody is given afterwards.
func TestTheRecordDigestCanBeComputedFromTheRecord(t *testing.T) {
	for name, h := range told(t) {
		if h.State().Outcome == 0 || !h.State().Recorded {
			continue
		}
		all := messages(h)
		closing := slices.IndexFunc(h.Entries, func(e procedure.Entry) bool { return e.Event.GetRecorded() != nil })
		n := h.Entries[closing].Event.GetRecorded().GetAsOfSequence()
		sum := sha256.Sum256(encode(t, document.AsOf(h.Release, all, n)))
		want := "sha256:" + hex.EncodeToString(sum[:])

		var later document.Record
		if err := json.Unmarshal(encode(t, document.Build(h.Release, all).Given("7")), &later); err != nil {
			t.Fatal(err)
		}
		then := asOf(later, n)
		sum = sha256.Sum256(encode(t, &then))
		if got := "sha256:" + hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: the digest is %s, want %s", name, got, want)
		}
	}
}

// TestTheFormOfTheDigestedRecordStaysAsItIs pins the digest of one record: whoever
// changes what is digested changes the schema's version too.
func TestTheFormOfTheDigestedRecordStaysAsItIs(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	// As it was asked for when the digest was pinned.
	first := proceduretest.Requested(h.Asked, h.Now.Add(h.Pace))
	first.GetRequested().ReasonsDemanded, first.GetRequested().ClosingDemanded = false, false
	h.Do(t, "", first)
	h.To(t, procedure.PhaseClosed)
	sum := sha256.Sum256(encode(t, document.Build(h.Release, messages(h))))
	if got, want := document.Schema+" "+hex.EncodeToString(sum[:]), "shipwarden.record.v1 47ad89114c0a8728d4a25b3d13c8804ae5196755df5e42d248c31918ac50b478"; got != want {
		t.Errorf("the record is %s, want %s", got, want)
	}
}

// TestWhatIsNotDigestedIsInTheRecordThatIsGivenOut also holds that it changes nothing
// else, so that taking it away is all that has to be done.
func TestWhatIsNotDigestedIsInTheRecordThatIsGivenOut(t *testing.T) {
	h := history(t, procedure.PhaseClosed, proceduretest.Emergency)
	all := messages(h)
	var given map[string]json.RawMessage
	text := encode(t, document.Build(h.Release, all).Given("2026.3", &recorderv1.WayBack{Release: "shop-back"}).
		Stands(&recorderv1.QuarantinedArtifact{Held: true}))
	if err := json.Unmarshal(text, &given); err != nil {
		t.Fatal(err)
	}
	last := h.Entries[len(h.Entries)-1].Stored.Format(time.RFC3339Nano)
	for key, want := range map[string]string{
		"as_of": last, "procedure_version": "2026.3", "planned": "waves_deployed", "incident": "INC-78",
		"follow_up_actions": "write the test", "signatures": "[]", "taken_back_by": "shop-back", "quarantine": `"held": true`,
		"waits": `"gate": "code-review"`, "closer": `"type": "review_completed"`, "rollbacks": "[]",
	} {
		if !strings.Contains(string(given[key]), want) {
			t.Errorf("%s is %s, want %q in it", key, given[key], want)
		}
		delete(given, key)
	}
	var plain map[string]json.RawMessage
	if err := json.Unmarshal(encode(t, document.Build(h.Release, all)), &plain); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, given); diff != "" {
		t.Errorf("more is different than what is not digested:\n%s", diff)
	}
}
