package execute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// toldOf is a release to a target whose own tool said what would change, approved.
func toldOf(t *testing.T, preview string, changes ...func(*releasev1.Request)) (*sitetest.World, *sitetest.Executor, *sitetest.Release) {
	t.Helper()
	w := sitetest.New(t, sitetest.Asking("eu1"))
	w.Earlier(t, "eu1", 1)
	w.Says(t, "eu1", preview, "fine")
	e := w.Executor(t, "one", nil)
	return w, e, shown(t, w, e, changes...)
}

func startOf(t *testing.T, e *sitetest.Executor, r *sitetest.Release) procedure.State {
	t.Helper()
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	return r.State(t)
}

// TestWhatWouldChangeIsAskedAgainAtTheStart: another answer than was approved is refused,
// kept, and an emergency is no exception.
func TestWhatWouldChangeIsAskedAgainAtTheStart(t *testing.T) {
	t.Parallel()
	for name, lane := range map[string][]func(*releasev1.Request){"planned": nil, "emergency": {proceduretest.Emergency}} {
		t.Run(name, func(t *testing.T) {
			w, e, r := toldOf(t, "1 to change", lane...)
			w.Says(t, "eu1", "1 to change, 7 to destroy", "fine")
			s := startOf(t, e, r)
			if s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !strings.Contains(s.EndReason, "says otherwise than was approved") || len(w.Starts(t, "eu1")) != 1 {
				t.Fatalf("in phase %s: %s", s.Phase, s.EndReason)
			}
			_, now, _ := strings.Cut(s.EndReason, "now prints ")
			now, _, _ = strings.Cut(now, ": request")
			if said, err := evidence.New(w.JetStream()).Get(t.Context(), now); err != nil || string(said) != "1 to change, 7 to destroy\n" {
				t.Errorf("what it says now: %q, %v", said, err)
			}
		})
	}
	_, e, r := toldOf(t, "1 to change")
	if s := startOf(t, e, r); s.Phase != procedure.PhaseExecuting {
		t.Errorf("the same answer: in phase %s, %s", s.Phase, s.EndReason)
	}
}

// TestATargetThatSomebodyChangesIsNotAsked: what its tool says meanwhile is of a moment that
// passes. The start waits for whoever has it, and nothing that was approved is lost.
func TestATargetThatSomebodyChangesIsNotAsked(t *testing.T) {
	t.Parallel()
	w, e, r := toldOf(t, "1 to change")
	other := w.Release(t, proceduretest.Key("other"), sitetest.Version(3))
	other.To(t, procedure.PhaseExecute)
	if s := startOf(t, e, other); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("the other one: in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
	w.Says(t, "eu1", "5 to change", "fine")
	if s := startOf(t, e, r); s.Phase != procedure.PhaseHeld || s.Holds[0].GetRule() != procedure.HoldTargetBusy || s.Holds[0].GetSubject() != other.ID {
		t.Fatalf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}

// TestAToolThatGivesNoAnswerHoldsTheStart until it does; an emergency goes around it, and what
// was approved without an answer is not asked.
func TestAToolThatGivesNoAnswerHoldsTheStart(t *testing.T) {
	w, e, r := toldOf(t, "1 to change")
	w.Says(t, "eu1", "fail", "fine")
	s := startOf(t, e, r)
	if s.Phase != procedure.PhaseHeld || s.Holds[0].GetRule() != procedure.HoldPreviewUnknown || !strings.Contains(s.Holds[0].GetMessage(), "exit status 3") {
		t.Fatalf("in phase %s: %v", s.Phase, s.Holds)
	}
	w.Says(t, "eu1", "1 to change", "fine")
	r.Resume(t)
	if s = startOf(t, e, r); s.Phase != procedure.PhaseExecuting {
		t.Errorf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}

	for _, before := range []string{"1 to change", "fail"} {
		w, e, r := toldOf(t, before, proceduretest.Emergency)
		w.Says(t, "eu1", "fail", "fine")
		around := strings.Contains(strings.Join(startOf(t, e, r).Bypassed, "\n"), "preview: target eu1")
		if s := r.State(t); s.Phase != procedure.PhaseExecuting || around != (before != "fail") {
			t.Errorf("an emergency that was shown %q: in phase %s, %s; bypassed %v", before, s.Phase, s.EndReason, s.Bypassed)
		}
	}
}

// TestAToolThatIsConfiguredNoMoreHoldsTheStart: an executor that was started again without it
// knows no better than one whose tool fails.
func TestAToolThatIsConfiguredNoMoreHoldsTheStart(t *testing.T) {
	w, _, r := toldOf(t, "1 to change")
	w.Targets[0].GetCommand().Preview = nil
	if s := startOf(t, w.Executor(t, "two", nil), r); s.Phase != procedure.PhaseHeld || !strings.Contains(s.Holds[0].GetMessage(), "configured any more") {
		t.Errorf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}
