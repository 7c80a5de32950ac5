package query_test

import (
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// record is the record of a release in JSON.
func (s *served) record(t *testing.T, release string, into any) {
	t.Helper()
	got, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got.GetDocument(), into); err != nil {
		t.Fatal(err)
	}
}

// found are the releases that the filter chooses.
func (s *served) found(t *testing.T, f *recorderv1.Filter) []string {
	t.Helper()
	got, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range got.GetReleases() {
		all = append(all, r.GetRelease())
	}
	return all
}

// TestAnApprovalIsVerifiedWithTheRecordAndThePublicKeyAlone does what docs/record.md
// tells an outsider to do.
func TestAnApprovalIsVerifiedWithTheRecordAndThePublicKeyAlone(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseClosed)
	var record struct {
		Signatures []struct {
			Sequence    uint64 `json:"sequence"`
			SignedBy    string `json:"signed_by"`
			PayloadType string `json:"payload_type"`
			Body        []byte `json:"body"`
			Signature   []byte `json:"signature"`
		} `json:"signatures"`
	}
	s.record(t, h.Release, &record)
	public, _ := envelopetest.PrivateKey(procedure.ServiceApproval).Public().(ed25519.PublicKey)
	var who []string
	for _, x := range record.Signatures {
		if !ed25519.Verify(public, dsse.PAE(x.PayloadType, x.Body), x.Signature) {
			t.Errorf("the signature of event %d is not over its bytes", x.Sequence)
		}
		e := &releasev1.Event{}
		if err := proto.Unmarshal(x.Body, e); err != nil {
			t.Fatal(err)
		}
		if e.GetApprovalGiven().GetChangeDigest() != h.State().ChangeDigest || x.SignedBy != envelopetest.KeyID(procedure.ServiceApproval) {
			t.Errorf("signed with %s: %v", x.SignedBy, e)
		}
		who = append(who, e.GetActor().GetId())
	}
	if !slices.Equal(who, []string{"anna", "ben"}) {
		t.Errorf("approvals of %q are signed", who)
	}
	got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release, Events: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got.GetEvents() {
		if given := e.GetEvent().GetApprovalGiven() != nil; given != (len(e.GetSignature()) > 0) || given != (len(e.GetBody()) > 0) {
			t.Errorf("event %d: %d bytes of body, %d of signature", e.GetSequence(), len(e.GetBody()), len(e.GetSignature()))
		}
	}
}

// TestAReleaseNamesWhatTakesItBack holds that nothing of that is digested, and that it
// is told as of the time of asking.
func TestAReleaseNamesWhatTakesItBack(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseClosed, proceduretest.Key("a"))
	type known struct {
		Outcome struct {
			Digest string `json:"record_digest"`
		} `json:"outcome"`
		TakenBackBy []struct {
			Release string `json:"release"`
			Phase   string `json:"phase"`
		} `json:"taken_back_by"`
	}
	var before, after known
	s.record(t, h.Release, &before)
	if before.TakenBackBy == nil || len(before.TakenBackBy) != 0 {
		t.Errorf("before, it is taken back by %v", before.TakenBackBy)
	}
	back := s.release(t, procedure.PhaseApprove, proceduretest.Key("b"), proceduretest.Rollback, func(r *releasev1.Request) { r.RollbackOf = h.Release })
	s.record(t, h.Release, &after)
	if len(after.TakenBackBy) != 1 || after.TakenBackBy[0].Release != back.Release || after.TakenBackBy[0].Phase != "approve" {
		t.Errorf("it is taken back by %v, want %s", after.TakenBackBy, back.Release)
	}
	if before.Outcome != after.Outcome {
		t.Errorf("digests %v and %v", before.Outcome, after.Outcome)
	}
	got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release})
	if err != nil || len(got.GetRelease().GetTakenBackBy()) != 1 || got.GetRelease().GetTakenBackBy()[0].GetRelease() != back.Release {
		t.Errorf("%v, %v", got.GetRelease().GetTakenBackBy(), err)
	}
}

func TestFiltersOfWhatCameAfterTheRequest(t *testing.T) {
	s := serve(t)
	open := s.release(t, procedure.PhaseApprove, proceduretest.Key("a"))
	first := s.release(t, procedure.PhaseClosed, proceduretest.Key("b"))
	second := s.release(t, procedure.PhaseClosed, proceduretest.Key("c"))
	refused := s.stream.New(proceduretest.Request(proceduretest.Key("d")))
	refused.To(t, procedure.PhaseGates)
	refused.Do(t, "", proceduretest.Gates(refused.State(), "tests"))
	refused.To(t, procedure.PhaseClosed)
	s.write(t, refused, 0)
	have := len(first.Entries)
	first.Do(t, "otto", proceduretest.FollowUp(first.State()))
	first.Do(t, "otto", proceduretest.FollowUp(first.State()))
	first.Do(t, "ada", proceduretest.FollowUpDone(1))
	s.write(t, first, have)
	ended := func(h *proceduretest.History) time.Time {
		got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetRelease().GetEnded().AsTime()
	}
	for name, c := range map[string]struct {
		filter *recorderv1.Filter
		want   []string
	}{
		"ended since":         {&recorderv1.Filter{EndedAfter: timestamppb.New(ended(second))}, []string{refused.Release, second.Release}},
		"ended before":        {&recorderv1.Filter{EndedBefore: timestamppb.New(ended(second))}, []string{first.Release}},
		"ended at all":        {&recorderv1.Filter{EndedAfter: timestamppb.New(proceduretest.Start)}, []string{refused.Release, second.Release, first.Release}},
		"something to do":     {&recorderv1.Filter{OpenFollowUps: true}, []string{first.Release}},
		"author by the proof": {&recorderv1.Filter{Person: "alan"}, []string{refused.Release, second.Release, first.Release, open.Release}},
	} {
		if got := s.found(t, c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	first.Do(t, "ada", proceduretest.FollowUpDone(2))
	s.write(t, first, len(first.Entries)-1)
	if got := s.found(t, &recorderv1.Filter{OpenFollowUps: true}); got != nil {
		t.Errorf("something is to be done after %q", got)
	}
	_, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{Filter: &recorderv1.Filter{EndedBefore: &timestamppb.Timestamp{Seconds: 1 << 60}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a time that is none: %v", err)
	}
}

// TestTheIncidentOfAReleaseThatWasAccepted has nobody but who decided take it on.
func TestTheIncidentOfAReleaseThatWasAccepted(t *testing.T) {
	s := serve(t)
	h := s.stream.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	h.To(t, procedure.PhaseClosed)
	s.write(t, h, 0)
	got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release, Events: true})
	if err != nil {
		t.Fatal(err)
	}
	i := got.GetIncident()
	if len(got.GetRelease().GetOpenEscalations()) > 0 || i.GetIncident() != "INC-78" || i.GetCause() != releasev1.Cause_CAUSE_OUTCOME_UNKNOWN {
		t.Errorf("open %v, incident %v", got.GetRelease().GetOpenEscalations(), i)
	}
	for _, e := range i.GetEscalations() {
		if e.GetTakenOnBy() != "eve" || e.GetTakenOnHow() != "intervened" || len(e.GetCalls()) != 1 {
			t.Errorf("escalation %v", e)
		}
	}
	if c := i.GetClosing(); c.GetBy() != "eve" || c.GetDecision() != "accept" || c.GetReason() != "looked at it" {
		t.Errorf("closed %v", c)
	}
	if len(i.GetTold()) == 0 || i.GetImpact().GetService() != "shop" || !slices.Equal(i.GetImpact().GetTargets(), []string{"eu1"}) {
		t.Errorf("told %v, impact %v", i.GetTold(), i.GetImpact())
	}
	document, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: h.Release, Format: recorderv1.GetRecordRequest_FORMAT_MARKDOWN})
	if err != nil || strings.Contains(string(document.GetDocument()), "nobody yet") || strings.Contains(string(document.GetDocument()), "it is open") {
		t.Errorf("the record says that something is open: %v", err)
	}
	plain := s.release(t, procedure.PhaseClosed, proceduretest.Key("plain"))
	got, err = s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: plain.Release, Events: true})
	if err != nil || got.GetIncident() != nil {
		t.Errorf("a release without an incident: %v, %v", got.GetIncident(), err)
	}
}
