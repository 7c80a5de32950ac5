package procedure_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatWasNotLookedAtHasNoVerdict leaves a target out of what was seen, on the way
// forward and on the way back. What the decision says of it counts, and is no pass.
func TestWhatWasNotLookedAtHasNoVerdict(t *testing.T) {
	without := func(target string, v *releasev1.Verification) *releasev1.Verification {
		return &releasev1.Verification{Reason: v.GetReason(), Results: slices.DeleteFunc(slices.Clone(v.GetResults()), func(r *releasev1.CheckResult) bool {
			return r.GetTarget() == target
		})}
	}
	for _, test := range []struct {
		name, target, reason string
		to                   func(t *testing.T, h *proceduretest.History)
		cause                releasev1.Cause
	}{
		{"on the way forward", "us2", "target us2 was not looked at", func(t *testing.T, h *proceduretest.History) {
			secondWave(t, h)
			h.To(t, procedure.PhaseVerify)
		}, releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE},
		{"on the way back", "eu1", "target eu1 was not looked at", secondWaveWentBack, releasev1.Cause_CAUSE_ROLLBACK_FAILED},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(two))
			h.To(t, procedure.PhaseVerify)
			test.to(t, h)
			all := proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, true).GetVerificationPassed().GetVerification()
			if len(all.GetResults()) < 2 {
				t.Fatalf("looked at nothing but %v", all.GetResults())
			}
			e := procedure.DecideVerified(h.State(), without(test.target, all), true)
			if got := e.GetVerificationInconclusive().GetVerification().GetReason(); got != test.reason {
				t.Errorf("decided %s because of %q, want no verdict because of %q", procedure.TypeOf(e), got, test.reason)
			}
			h.Do(t, "", e)
			if s := h.State(); s.Phase != procedure.PhaseEscalated || s.EscalatedFor != test.cause {
				t.Errorf("in phase %s for %s", s.Phase, s.EscalatedFor)
			}
		})
	}
}

// TestAFailureIsNotHiddenByWhatWasNotLookedAt keeps the worst that is known.
func TestAFailureIsNotHiddenByWhatWasNotLookedAt(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(two))
	h.To(t, procedure.PhaseVerify)
	secondWave(t, h)
	h.To(t, procedure.PhaseVerify)
	v := &releasev1.Verification{Reason: "health on us1: 3 failures", Results: []*releasev1.CheckResult{
		{Check: "health", Target: "us1", Verdict: releasev1.CheckResult_VERDICT_FAIL},
	}}
	e := procedure.DecideVerified(h.State(), v, true)
	if got := e.GetVerificationFailed().GetVerification().GetReason(); got != "health on us1: 3 failures" {
		t.Errorf("decided %s because of %q", procedure.TypeOf(e), got)
	}
}
