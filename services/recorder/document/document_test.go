package document_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// messages are the entries of a history as they are on record.
func messages(h *proceduretest.History) []view.Recorded {
	var out []view.Recorded
	for _, e := range h.Entries {
		r := view.Recorded{Entry: e, Subject: e.Event.GetAggregate() + ".x.y", SignedBy: "key"}
		for _, no := range h.Rejected {
			if no.Entry.Sequence == e.Sequence {
				r.Rejected = no.Reason.Error()
			}
		}
		out = append(out, r)
	}
	return out
}

func history(t *testing.T, to procedure.Phase, changes ...func(*releasev1.Request)) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(changes...))
	h.To(t, to)
	return h
}

func encode(t *testing.T, r *document.Record) []byte {
	t.Helper()
	out, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheRecordHoldsEverythingThatIsAskedFor(t *testing.T) {
	h := history(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.To(t, procedure.PhaseClosed)
	r := document.Build(h.Release, messages(h))
	for name, count := range map[string]int{
		"gates": len(r.Gates), "artifacts": len(r.Artifacts), "targets": len(r.Targets), "previews": len(r.Previews),
		"quorum": len(r.Quorum), "approvals": len(r.Approvals), "notices": len(r.Notices), "execution": len(r.Execution),
		"verifications": len(r.Verifications), "rollback": len(r.Rollback), "escalations": len(r.Escalations),
		"deviations": len(r.Deviations), "people": len(r.People), "timeline": len(r.Timeline), "phases": len(r.Timings.Phases),
	} {
		if count == 0 {
			t.Errorf("there are no %s", name)
		}
	}
	if r.Outcome.Outcome != "rolled_back" || r.Outcome.RecordDigest == "" || r.Outcome.ClosedAt == nil || r.Authorization == nil {
		t.Errorf("outcome %+v", r.Outcome)
	}
	if r.Timings.Lead <= 0 || r.Timings.Execute <= 0 || r.Timings.Bake <= 0 || r.Timings.Remedy <= 0 || r.Timings.Total <= r.Timings.Lead {
		t.Errorf("timings %+v", r.Timings)
	}
	for _, a := range r.Approvals {
		if a.CountedFor == "" || a.ChangeDigest != r.ChangeDigest || a.ShownDigest == "" {
			t.Errorf("approval %+v", a)
		}
	}
	text := string(r.Markdown())
	for _, want := range []string{
		"# Deployment record: shop 1.4.2 to production", "`" + h.Release + "`", "## Step 1: gates", "## Step 7", "requested by rita",
		"**Rolled back.**", "## Events", r.ChangeDigest,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not hold %q", want)
		}
	}
}

func TestTheRecordOfAnEmergencyListsBypassesReviewAndFollowUps(t *testing.T) {
	h := history(t, procedure.PhaseClosed, proceduretest.Emergency)
	r := document.Build(h.Release, messages(h))
	if r.Review == nil || r.Review.By != "cleo" || len(r.Deviations) == 0 || !strings.Contains(r.Deviations[0], "INC-77") {
		t.Errorf("review %+v, deviations %q", r.Review, r.Deviations)
	}
}

func TestTheSameEventsGiveTheSameBytes(t *testing.T) {
	h := history(t, procedure.PhaseClosed)
	all := messages(h)
	first := document.Build(h.Release, all)
	for range 20 {
		again := document.Build(h.Release, all)
		if !bytes.Equal(encode(t, first), encode(t, again)) || !bytes.Equal(first.Markdown(), again.Markdown()) {
			t.Fatal("another form of the same record")
		}
	}
	if !json.Valid(encode(t, first)) {
		t.Error("the record is no JSON")
	}
}

func TestWhatComesLaterDoesNotChangeTheRecordAsOfASequence(t *testing.T) {
	h := history(t, procedure.PhaseRecord)
	before, at := encode(t, document.Build(h.Release, messages(h))), h.Last
	h.To(t, procedure.PhaseClosed)
	if diff := cmp.Diff(string(before), string(encode(t, document.AsOf(h.Release, messages(h), at)))); diff != "" {
		t.Error(diff)
	}
}

func TestEveryPrefixHasARecord(t *testing.T) {
	h := history(t, procedure.PhaseClosed, proceduretest.Emergency)
	all := messages(h)
	for i := range all {
		r := document.Build(h.Release, all[:i])
		if !json.Valid(encode(t, r)) || len(r.Markdown()) == 0 || len(r.Timeline) != i {
			t.Errorf("record of the first %d events", i)
		}
	}
}

// TestAnApprovalThatWaitsForOthersIsNotSaidNotToCount: what counts is said by the
// authorization, and before it nobody knows.
func TestAnApprovalThatWaitsForOthersIsNotSaidNotToCount(t *testing.T) {
	h, seen := history(t, procedure.PhaseClosed), 0
	all := messages(h)
	for i := range all {
		r := document.Build(h.Release, all[:i])
		if len(r.Approvals) == 0 || r.Authorization != nil {
			continue
		}
		seen++
		if page := string(r.Markdown()); strings.Contains(page, "did not count") || !strings.Contains(page, "not counted yet") {
			t.Errorf("after event %d:\n%s", i, page)
		}
	}
	if seen == 0 {
		t.Error("no release waits with an approval")
	}
}

func TestWhatDoesNotCountIsListedAndChangesNothing(t *testing.T) {
	h := history(t, procedure.PhaseScope)
	twice := h.Next(nil, proceduretest.Gates(h.State()))
	if h.Store(twice) == nil {
		t.Fatal("the gates are confirmed twice")
	}
	all := append(messages(h), view.Recorded{Entry: procedure.Entry{Sequence: h.Last + 1}, Subject: "rel.x|y\n", Rejected: "not signed <b>"})
	r := document.Build(h.Release, all)
	if len(r.Rejected) != 2 || len(r.Timeline) != 2 || len(r.Gates) == 0 || r.AsOfSequence != h.Last+1 {
		t.Errorf("%d rejected, %d in the timeline, as of %d", len(r.Rejected), len(r.Timeline), r.AsOfSequence)
	}
}

var hostile = []string{
	"<script>alert(1)</script>", "![x](http://evil.example/x.png)", "[click](javascript:alert(1))", "a | b | c", "# head",
	"line\n\n## Approved by everybody\n| a | b |", "`code` **bold** _it_ ~~no~~", "- item", "1. item", "> quote", "&lt;b&gt;",
	"http://evil.example", "www.evil.example", "mail@evil.example", "\x1b[31mred\x07", "abc\u202edef\u2066", "zero\u200bwidth", "back\\slash`",
	"<!-- hidden -->", "\r\n---\r\n", "$x^2$", "\u2028# head", "    code", "===", ": definition", "+ item", "12) item", "* item", "~~~", "```go",
	"| a | b |", "| --- | --- |", "[^1]: note", "[x]: http://evil.example \"t\"", "a\\", "\\|", "a\\\n| b", "</td></tr></table>", "javascript:alert(1)",
	"tag\U000E0041", "\u3164", "&#60;script&#62;",
}

// plainly is code type: it holds nothing that ends it, and addresses in it are no
// links.
var plainly = regexp.MustCompile("`[A-Za-z0-9._:/@+,-]+`")

// TestWhatWasClosedAndIsOwedAgainIsNotClosed: somebody changed by hand what the release left, and
// it is closed by whoever takes that on.
func TestWhatWasClosedAndIsOwedAgainIsNotClosed(t *testing.T) {
	h := history(t, procedure.PhaseClosed)
	first := document.Build(h.Release, messages(h)).Outcome.ClosedAt
	h.Do(t, "", procedure.DecideUnrecordedChange(h.State(), "eu1", "", nil))
	if r := document.Build(h.Release, messages(h)); first == nil || r.Outcome.ClosedAt != nil || r.Phase != "follow_up" {
		t.Errorf("in phase %s it was closed at %v, and is at %v", r.Phase, first, r.Outcome.ClosedAt)
	}
	h.To(t, procedure.PhaseClosed)
	if r := document.Build(h.Release, messages(h)); r.Outcome.ClosedAt == nil || !r.Outcome.ClosedAt.After(*first) {
		t.Errorf("closed again at %v, and first at %v", r.Outcome.ClosedAt, first)
	}
}
