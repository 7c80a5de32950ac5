package document_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhatWasSeenLaterIsInTheRecord: every look with where its samples are, and by which the release
// is verified no more.
func TestWhatWasSeenLaterIsInTheRecord(t *testing.T) {
	q := proceduretest.Request()
	h := proceduretest.New(q)
	h.Do(t, "", proceduretest.LookedAtAgain(q, h.Now, time.Hour, 3))
	h.To(t, procedure.PhaseClosed)
	if text := string(document.Build(h.Release, messages(h)).Markdown()); strings.Contains(text, "Looked at again") {
		t.Error("nobody looked, and the record says so")
	}
	for _, verdict := range []releasev1.CheckResult_Verdict{
		releasev1.CheckResult_VERDICT_PASS, releasev1.CheckResult_VERDICT_INCONCLUSIVE, releasev1.CheckResult_VERDICT_FAIL,
	} {
		h.Advance(time.Hour)
		h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, verdict))
	}
	r := document.Build(h.Release, messages(h))
	text := string(r.Markdown())
	_, later, _ := strings.Cut(text, "## Looked at again")
	for _, want := range []string{"| 1 |", "| passed |", "| 2 |", "| no verdict |", "| 3 |", "| verified no more |", "### Look 3", "| health |", "as the test has it"} {
		if !strings.Contains(later, want) {
			t.Errorf("%q is not in\n%s", want, later)
		}
	}
	for _, want := range []string{"Look 3 afterwards took back that it is verified: health on eu1", "the escalation for verification revoked, which nobody has taken on"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the record", want)
		}
	}
	if n := len(r.Verifications); n != 4 || r.Outcome.ClosedAt != nil {
		t.Errorf("%d verifications in the record, closed at %v", n, r.Outcome.ClosedAt)
	}
}
