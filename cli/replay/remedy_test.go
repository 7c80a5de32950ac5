package replay_test

import (
	"testing"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
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
