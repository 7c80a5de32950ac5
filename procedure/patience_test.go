package procedure_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// room is how many events a wait may take: services load no history of more than
// 2,000, and what comes before and after it has to fit in as well.
const room = 1000

// A release that looks again every minute whether its target is free would have filled
// its history in a night, and nobody could have withdrawn it after that.
func TestAWaitOfAnyLengthFitsIntoAHistory(t *testing.T) {
	const asked, year = time.Minute, 365 * 24 * time.Hour
	waits := map[string]func(h *proceduretest.History) *releasev1.Event{
		"for a busy target at step 3": func(h *proceduretest.History) *releasev1.Event {
			return &releasev1.Event{Data: &releasev1.Event_Held{Held: hold(h, procedure.HoldTargetBusy, asked)}}
		},
		"for a review at step 3": func(h *proceduretest.History) *releasev1.Event {
			return &releasev1.Event{Data: &releasev1.Event_Held{Held: hold(h, "review.overdue", asked)}}
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, procedure.PhaseRisk)
			begun, before := h.Now, h.State().Events
			for h.State().Phase != procedure.PhaseRecord && h.State().Events-before <= room {
				h.Do(t, "", wait(h))
				held := h.Now
				pass(t, h)
				if late, limit := h.Now.Sub(held), max(asked, held.Sub(begun)/10); late > limit {
					t.Fatalf("after %s it looks again %s later, want %s", held.Sub(begun), late, limit)
				}
				if h.State().Phase == procedure.PhaseScope {
					h.To(t, procedure.PhaseRisk)
				}
			}
			if got := h.State().Events - before; got > room || h.State().Outcome != releasev1.Outcome_OUTCOME_EXPIRED {
				t.Errorf("%d events in a wait of %s that ended as %s, want at most %d", got, h.Now.Sub(begun), h.State().Outcome, room)
			}
		})
	}
	t.Run("for a busy target between waves", func(t *testing.T) {
		h := proceduretest.New(proceduretest.Request(two))
		h.To(t, procedure.PhaseVerify)
		h.To(t, procedure.PhaseExecute)
		begun, before := h.Now, h.State().Events
		for h.Now.Sub(begun) < year && h.State().Events-before <= room {
			h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: hold(h, procedure.HoldTargetBusy, asked)}})
			pass(t, h)
		}
		if got := h.State().Events - before; got > room {
			t.Errorf("%d events in a year, want at most %d", got, room)
		}
	})
	for _, phase := range []procedure.Phase{procedure.PhaseGates, procedure.PhaseVerify, procedure.PhaseRecord} {
		t.Run("for a step in phase "+phase.String(), func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, phase)
			begun, before := h.Now, h.State().Events
			for h.Now.Sub(begun) < year && h.State().Phase == phase && h.State().Events-before <= room {
				answerCalls(t, h)
				pass(t, h)
			}
			if got := h.State().Events - before; got > room {
				t.Errorf("%d events in %s, want at most %d", got, h.Now.Sub(begun), room)
			}
		})
	}
}

func hold(h *proceduretest.History, rule string, asked time.Duration) *releasev1.Held {
	return &releasev1.Held{
		Reasons: []*releasev1.HoldReason{{Rule: rule}}, Until: timestamppb.New(procedure.NextLook(h.State(), asked, h.Now)),
	}
}

// pass lets the next deadline pass.
func pass(t *testing.T, h *proceduretest.History) {
	t.Helper()
	d, ok := procedure.NextDeadline(h.State())
	if !ok {
		t.Fatal("it waits for nothing")
	}
	h.Advance(max(d.At.Sub(h.Now), 0))
	h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
}

// answerCalls calls people for everything they are to be called for, and lets one of
// them take it on: the way in which a wait takes the most events.
func answerCalls(t *testing.T, h *proceduretest.History) {
	t.Helper()
	for _, x := range procedure.DueCalls(h.State()) {
		h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
		h.Do(t, "eve", proceduretest.Acknowledge(x.Cause))
	}
}

func TestAWaitThatIsOverIsForgotten(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(two))
	for _, phase := range []procedure.Phase{procedure.PhaseRisk, procedure.PhaseExecute} {
		h.To(t, phase)
		held := func(d *releasev1.Held) *releasev1.Event {
			if phase == procedure.PhaseRisk {
				return &releasev1.Event{Data: &releasev1.Event_Held{Held: d}}
			}
			return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: d}}
		}
		if next := procedure.NextLook(h.State(), time.Minute, h.Now); !next.Equal(h.Now.Add(time.Minute)) {
			t.Errorf("in phase %s the first look comes after %s, want a minute", phase, next.Sub(h.Now))
		}
		h.Do(t, "", held(proceduretest.Hold("review.overdue", h.Now.Add(10*time.Hour))))
		pass(t, h)
		if next := procedure.NextLook(h.State(), time.Minute, h.Now); next.Sub(h.Now) < 59*time.Minute {
			t.Errorf("in phase %s the next look comes after %s, want an hour", phase, next.Sub(h.Now))
		}
	}
	h.To(t, procedure.PhaseVerify)
	h.To(t, procedure.PhaseExecute) // the second wave
	if next := procedure.NextLook(h.State(), time.Minute, h.Now); !next.Equal(h.Now.Add(time.Minute)) {
		t.Errorf("after the first wave the first look comes after %s, want a minute", next.Sub(h.Now))
	}
}

// The planned time has come, and a target is busy for a moment: it is looked at again
// soon, though the release was held for days.
func TestAWaitWhoseEndIsKnownMakesNoOtherOneLonger(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecute)
	planned := h.Now.Add(6 * time.Hour)
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("not_before", planned)}})
	pass(t, h)
	if next := procedure.NextLook(h.State(), time.Minute, h.Now); next.Sub(h.Now) != time.Minute {
		t.Errorf("a busy target is looked at again after %s, want a minute", next.Sub(h.Now))
	}
}
