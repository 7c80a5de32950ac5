package procedure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// verdictOf evolves a state by one event of that person, and says whether it counts.
func verdictOf(h *proceduretest.History, s procedure.State, person string, e *releasev1.Event) (procedure.State, error) {
	var actor *releasev1.Actor
	if person != "" {
		actor = proceduretest.Person(person)
	}
	entry := h.Next(actor, e)
	entry.Event.Previous = s.Head.Previous()
	entry.Sequence = s.Head.Sequence + 1
	return procedure.Evolve(s, entry)
}

func claimOf(s procedure.State, at time.Time) *releasev1.Event {
	return procedure.DecideClaim(s, "executor-1", s.ChangeDigest, at.Add(time.Minute), at.Add(30*time.Minute))
}

// TestWhatCountsWhileAReleaseIsPaused is the whole of a pause (PD-5.3): nothing new begins,
// whoever claims it, and everything else goes its way.
func TestWhatCountsWhileAReleaseIsPaused(t *testing.T) {
	t.Parallel()
	pass, fail := releasev1.CheckResult_VERDICT_PASS, releasev1.CheckResult_VERDICT_FAIL
	type at = procedure.State
	for _, test := range []struct {
		name   string
		phase  procedure.Phase
		person string
		event  func(s at, now time.Time) *releasev1.Event
		to     procedure.Phase
		why    string
	}{
		{"the start", procedure.PhaseExecute, "", claimOf, procedure.PhaseExecute, "it is paused by dan"},
		{"the end of a wave", procedure.PhaseExecuting, "", func(s at, _ time.Time) *releasev1.Event { return proceduretest.Executed(s, nil) }, procedure.PhaseVerify, ""},
		{"a takeover of what is under way", procedure.PhaseExecuting, "", claimOf, procedure.PhaseExecuting, ""},
		{"a bake that passed", procedure.PhaseVerify, "", func(s at, _ time.Time) *releasev1.Event { return proceduretest.Verified(s, pass, false) }, procedure.PhaseExecute, ""},
		{"a bake that failed", procedure.PhaseVerify, "", func(s at, _ time.Time) *releasev1.Event { return proceduretest.Verified(s, fail, false) }, procedure.PhaseRemedy, ""},
		{"an abort", procedure.PhaseVerify, "eve", func(at, time.Time) *releasev1.Event { return proceduretest.Abort() }, procedure.PhaseRemedy, ""},
		{"an approval", procedure.PhaseApprove, "anna", func(s at, now time.Time) *releasev1.Event { return proceduretest.Approval(s, now.Add(time.Hour)) }, procedure.PhaseApprove, ""},
		{"a withdrawal", procedure.PhaseApprove, "otto", func(at, time.Time) *releasev1.Event { return proceduretest.Withdraw() }, procedure.PhaseRecord, ""},
		{"a decision to go back", procedure.PhaseEscalated, "eve", func(at, time.Time) *releasev1.Event {
			return proceduretest.Intervene(releasev1.Intervened_ACTION_ROLL_BACK)
		}, procedure.PhaseRemedy, ""},
		{"a second pause", procedure.PhaseVerify, "eve", func(at, time.Time) *releasev1.Event { return proceduretest.Pause() }, procedure.PhaseVerify, "it is paused already, by dan"},
		{"a resumption", procedure.PhaseVerify, "eve", func(at, time.Time) *releasev1.Event { return proceduretest.Resume() }, procedure.PhaseVerify, ""},
		{"a resumption by a service", procedure.PhaseVerify, "", func(at, time.Time) *releasev1.Event { return proceduretest.Resume() }, procedure.PhaseVerify, "only a person"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
			h.To(t, test.phase)
			before := h.State()
			paused, err := verdictOf(h, before, "dan", proceduretest.Pause())
			if err != nil || paused.Phase != before.Phase || !paused.Paused() {
				t.Fatalf("paused in phase %s: %v", paused.Phase, err)
			}
			event := test.event(paused, h.Now)
			after, err := verdictOf(h, paused, test.person, event)
			if after.Phase != test.to || (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
				t.Errorf("in phase %s: %v", after.Phase, err)
			}
			// Without the pause the same event counts, where it is not about the pause itself.
			if test.why != "" && event.GetExecutionClaimed() != nil {
				if _, err := verdictOf(h, before, test.person, event); err != nil {
					t.Errorf("not paused: %v", err)
				}
			}
		})
	}
}

// TestAPauseIsAPersonsAndEnds: nobody pauses what begins nothing any more, and a resumption of
// what is not paused is refused.
func TestAPauseIsAPersonsAndEnds(t *testing.T) {
	t.Parallel()
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	h.To(t, procedure.PhaseExecute)
	s := h.State()
	for why, of := range map[string]struct {
		person string
		event  *releasev1.Event
	}{
		"only a person may decide this": {"", proceduretest.Pause()},
		"it names no reason":            {"dan", &releasev1.Event{Data: &releasev1.Event_Paused{Paused: &releasev1.Paused{Reason: " "}}}},
		"it is not paused":              {"dan", proceduretest.Resume()},
	} {
		if _, err := verdictOf(h, s, of.person, of.event); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	step := func(person string, e *releasev1.Event) {
		t.Helper()
		next, err := verdictOf(h, s, person, e)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	for range procedure.MaxPauses {
		step("dan", proceduretest.Pause())
		step("", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldPaused, h.Now.Add(time.Hour))}})
		step("eve", proceduretest.Resume())
		if s.Phase != procedure.PhaseExecute || len(s.Holds) > 0 || s.Paused() {
			t.Fatalf("in phase %s after it was resumed, holds %v", s.Phase, s.Holds)
		}
	}
	if _, err := verdictOf(h, s, "dan", proceduretest.Pause()); err == nil || !strings.Contains(err.Error(), "too often") || slices.Contains(procedure.Actions(s), "pause") {
		t.Errorf("paused once more: %v", err)
	}
	step("", claimOf(s, h.Now))
}

// TestAPauseDoesNotOutlastItsRelease: what has not begun in time is ended by the clock, paused or
// not, and what has ended is paused no more.
func TestAPauseDoesNotOutlastItsRelease(t *testing.T) {
	t.Parallel()
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecute)
	s, err := verdictOf(h, h.State(), "dan", proceduretest.Pause())
	if err != nil {
		t.Fatal(err)
	}
	s, err = verdictOf(h, s, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldPaused, h.Now.Add(1000*time.Hour))}})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := procedure.NextDeadline(s)
	if d.Kind != releasev1.Deadline_DEADLINE_START {
		t.Fatalf("the next deadline is %s", d.Kind)
	}
	h.Now = d.At
	s, err = verdictOf(h, s, "", procedure.DecideDeadline(s, h.Now))
	if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_EXPIRED || s.Paused() {
		t.Errorf("%s, paused %t: %v", s.Outcome, s.Paused(), err)
	}
}
