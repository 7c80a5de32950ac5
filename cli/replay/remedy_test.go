package replay_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARemedyThatTheDocumentDoesNotSayIsTold: what becomes of a failure is looked up again in the
// procedure document.
func TestARemedyThatTheDocumentDoesNotSayIsTold(t *testing.T) {
	w := newWorld(t)
	said := map[string]int{}
	for seed := range uint64(40) {
		g := w.release(t, seed, func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				made := &releasev1.Remedy{Row: "made-up", Action: releasev1.Remedy_ACTION_ROLL_BACK}
				switch {
				case e.GetExecutionFinished() != nil && seed%2 == 0:
					x := e.GetExecutionFinished()
					x.GetResults()[0].Status = releasev1.TargetResult_STATUS_FAILED
					failed := &releasev1.ExecutionFailed{Wave: x.GetWave(), Attempt: x.GetAttempt(), Results: x.GetResults(), Reason: "exit status 1"}
					if seed%4 == 0 {
						failed.Remedy = made
					}
					e.Data = &releasev1.Event_ExecutionFailed{ExecutionFailed: failed}
				case e.GetVerificationFailed() != nil && !e.GetVerificationFailed().GetVerification().GetRollback():
					e.GetVerificationFailed().Remedy = made
				}
			}
		})
		report, err := replay.New(envelopetest.Ring(), w.kept.Get).Release(t.Context(), g.Release, g.messages)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range report.Decisions {
			if d.Result == replay.Differs {
				said[d.Type]++
			}
			if d.Type == "execution_failed" && (d.Result == replay.Differs) != (seed%4 == 0) {
				t.Errorf("seed %d: %v %s", seed, d.Result, d.Detail)
			}
		}
	}
	for _, of := range []string{"execution_failed", "verification_failed"} {
		if said[of] == 0 {
			t.Errorf("a remedy of %s is made up, and nobody is told: %v", of, said)
		}
	}
}

// TestWhatBecomesOfAFailureIsLookedUpWithoutSamplesToo: what the document says needs none, and
// whoever keeps none could otherwise keep what failed from going back, and nobody would see it.
func TestWhatBecomesOfAFailureIsLookedUpWithoutSamplesToo(t *testing.T) {
	w := newWorld(t)
	for name, lie := range map[string]func(g *generator, e *releasev1.Event) bool{
		"a row that there is not": func(_ *generator, e *releasev1.Event) bool {
			d := e.GetVerificationFailed()
			if d == nil || d.GetVerification().GetRollback() {
				return false
			}
			d.Verification.Samples, d.Remedy = nil, &releasev1.Remedy{Row: "made-up", Action: releasev1.Remedy_ACTION_ESCALATE}
			return true
		},
		"a look that nobody asked for": func(g *generator, e *releasev1.Event) bool {
			d, s := e.GetVerificationFailed(), g.State()
			if d == nil || d.GetVerification().GetRollback() {
				return false
			}
			for _, id := range procedure.Targets(s.Request) {
				if slices.Contains(s.Touched, id) {
					continue
				}
				d.Verification.Samples, d.Verification.Beside = nil, &releasev1.Beside{}
				for _, c := range procedure.FailedChecks(d.GetVerification()) {
					d.Verification.Beside.Results = append(d.Verification.Beside.Results, &releasev1.CheckResult{Check: c, Target: id, Verdict: releasev1.CheckResult_VERDICT_FAIL})
				}
				return true
			}
			return false
		},
		"people are asked whom it does not ask": func(_ *generator, e *releasev1.Event) bool {
			d := e.GetVerificationInconclusive()
			if d == nil || d.GetVerification().GetRollback() {
				return false
			}
			d.Verification.Samples, d.CountsAsFailure = nil, !d.GetCountsAsFailure()
			return true
		},
	} {
		told := 0
		for seed := range uint64(60) {
			lied := false
			g := w.release(t, seed, func(g *generator) {
				g.lie = func(e *releasev1.Event) { lied = lie(g, e) || lied }
			})
			report, err := replay.New(envelopetest.Ring(), w.kept.Get).Release(t.Context(), g.Release, g.messages)
			if err != nil {
				t.Fatal(err)
			}
			differs := slices.ContainsFunc(report.Decisions, func(d replay.Decision) bool {
				return d.Result == replay.Differs && (d.Type == "verification_failed" || d.Type == "verification_inconclusive")
			})
			if differs != lied {
				t.Errorf("%s, seed %d: made up: %t, told: %t", name, seed, lied, differs)
			}
			if differs {
				told++
			}
		}
		if told == 0 {
			t.Errorf("%s: never told", name)
		}
	}
}
