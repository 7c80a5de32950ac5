package execute_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestATargetThatMovesBehindTheLastLookIsNotTaken has another release come and go on the
// first target of a wave while the executor looks at the second one. What was approved for
// the first is not what would happen there any more, and the way back that was shown would
// lead to a version that is not there (PD-3.5, R-16).
func TestATargetThatMovesBehindTheLastLookIsNotTaken(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}))
	r.To(t, procedure.PhaseExecute)
	looks := 0
	e := w.Executor(t, "one", func(point string) {
		if point != sitetest.Looking {
			return
		}
		if looks++; looks == 2 {
			w.Carries(t, "eu1", 3)
		}
	})
	step := execute.New(e.Site, time.Now)
	if events, err := e.Turn(t.Context(), step, r.Task(t, 1)); !sitetest.Conflict(err) {
		t.Fatalf("%v, %v: want a conflict; eu1 is held by %q", events, err, w.Standing(t, "eu1").LockedBy)
	}
	if looks != 2 {
		t.Fatalf("looked %d times", looks)
	}
	if _, err := e.Turn(t.Context(), step, r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	if s.EscalatedFor != releasev1.Cause_CAUSE_UNSPECIFIED || s.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED || w.Running(t, "eu1") != 3 {
		t.Errorf("phase %s, outcome %s, version %d", s.Phase, s.Outcome, w.Running(t, "eu1"))
	}
}
