package queue

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoMayGoOn is a table of when a release has its turn, and when it has lost it.
func TestWhoMayGoOn(t *testing.T) {
	now, busy := time.Now(), []string{procedure.HoldTargetBusy}
	for _, test := range []struct {
		name  string
		phase procedure.Phase
		ago   time.Duration // since it entered the phase, or since its next look was due
		then  procedure.Phase
		holds []string
		may   bool
	}{
		{"may start", procedure.PhaseExecute, 0, 0, nil, true},
		{"may start for a moment less than a turn", procedure.PhaseExecute, time.Minute - 1, 0, nil, true},
		{"is stuck", procedure.PhaseExecute, time.Minute, 0, nil, false},
		{"waits for a target", procedure.PhaseHeld, -time.Hour, procedure.PhaseExecute, busy, true},
		{"was to look just now", procedure.PhaseHeld, time.Minute - 1, procedure.PhaseExecute, busy, true},
		{"does not look", procedure.PhaseHeld, time.Minute, procedure.PhaseExecute, busy, false},
		{"waits for a freeze", procedure.PhaseHeld, -time.Hour, procedure.PhaseExecute, []string{procedure.HoldFreeze}, false},
		{"waits for both", procedure.PhaseHeld, -time.Hour, procedure.PhaseExecute, []string{procedure.HoldTargetBusy, procedure.HoldFreeze}, false},
		{"waits for a target in step 3", procedure.PhaseHeld, -time.Hour, procedure.PhaseScope, busy, false},
		{"waits for people", procedure.PhaseApprove, 0, 0, nil, false},
		{"has claimed", procedure.PhaseExecuting, 0, 0, nil, false},
	} {
		s := procedure.State{Phase: test.phase, Entered: now.Add(-test.ago), HeldUntil: now.Add(-test.ago), HeldFor: test.then}
		for _, rule := range test.holds {
			s.Holds = append(s.Holds, &releasev1.HoldReason{Rule: rule})
		}
		if may := (Look{Now: now, Turn: time.Minute}).may(s); may != test.may {
			t.Errorf("it %s: %t", test.name, may)
		}
		s.Pause.Person = "dan" // Then it takes nothing, until somebody resumes it.
		if (Look{Now: now, Turn: time.Minute}).may(s) {
			t.Errorf("it %s, and is paused", test.name)
		}
	}
}

// TestWhatIsWanted is every target of the wave in work that the release does not have.
func TestWhatIsWanted(t *testing.T) {
	s := procedure.State{Request: proceduretest.Request(proceduretest.Waves([]string{"eu1", "eu2"}, []string{"us1"}))}
	other := procedure.State{Request: proceduretest.Request(proceduretest.Waves([]string{"us1"}, []string{"eu2"}))}
	if got := shared(s, other); got != "" {
		t.Errorf("in the first waves of both: %q", got)
	}
	if other.Wave = 1; shared(s, other) != "eu2" {
		t.Errorf("in the second wave of the other one: %q", shared(s, other))
	}
	if s.Touched = []string{"eu2"}; shared(s, other) != "" {
		t.Errorf("when one has it: %q", shared(s, other))
	}
}
