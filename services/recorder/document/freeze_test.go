package document_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestExceptionsAndOverrunsAreOnRecord has an exception of a freeze before the start, and
// another freeze between the waves by which the release is taken back.
func TestExceptionsAndOverrunsAreOnRecord(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(twoWaves))
	h.Do(t, "", proceduretest.Requested(h.Asked, h.Now))
	h.To(t, procedure.PhaseApprove)
	h.Do(t, "dan", proceduretest.Override("weekend"))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
	h.Do(t, "", proceduretest.Overrun(h.State(), "month-end"))
	to(t, h, procedure.PhaseRemedy)
	r := document.Build(h.Release, messages(h))
	const exception, overrun = "exception of freeze weekend by dan, INC-7: customers cannot pay", "taken back before wave 2, held: freeze month-end"
	for _, want := range []string{exception, overrun} {
		if !slices.Contains(r.Deviations, want) {
			t.Errorf("deviations %q lack %q", r.Deviations, want)
		}
	}
	if len(r.Decisions) != 1 || r.Decisions[0].By != "dan" || r.Execution[len(r.Execution)-1].Type != "execution_overrun" {
		t.Errorf("decisions %v, execution %v", r.Decisions, r.Execution)
	}
	text := r.Markdown()
	for _, want := range []string{exception, "because of the freeze month-end"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document lacks %q", want)
		}
	}
}
