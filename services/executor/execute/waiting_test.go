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

// TestWhoWaitsHoldsNoTarget: for a step, for people, for a freeze or for a time to come, and
// before its start as well. Whoever may start does, past all of them.
func TestWhoWaitsHoldsNoTarget(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	var waiting []*sitetest.Release
	waits := func(name string, phase procedure.Phase, last *releasev1.Event) {
		t.Helper()
		r := w.Release(t, proceduretest.Key(name))
		r.To(t, phase)
		if last != nil {
			r.Do(t, "", last)
		}
		waiting = append(waiting, r)
	}
	later := time.Now().Add(time.Hour)
	waits("gates", procedure.PhaseGates, nil)
	waits("scope", procedure.PhaseScope, nil)
	waits("preview", procedure.PhasePreview, nil)
	waits("risk", procedure.PhaseRisk, nil)
	waits("held", procedure.PhaseRisk, &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold("freeze", later)}})
	waits("people", procedure.PhaseApprove, nil)
	waits("notice", procedure.PhaseNotify, nil)
	waits("start", procedure.PhaseExecute, &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("freeze", later)}})

	goes := w.Release(t, proceduretest.Key("goes"))
	goes.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), goes.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if s := goes.State(t); s.Phase != procedure.PhaseExecuting {
		t.Errorf("it does not start: in phase %s, %v", s.Phase, s.Holds)
	}
	if by := w.Standing(t, "eu1").LockedBy; by != goes.ID {
		t.Errorf("the target is held by %q", by)
	}
	for _, r := range waiting {
		if s := r.State(t); s.Claim.Claimer != "" || len(s.Touched) != 0 {
			t.Errorf("%s in phase %s has claimed %v", r.ID, s.Phase, s.Touched)
		}
	}
}
