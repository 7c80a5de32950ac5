package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Freed is the end of another release by which one was woken that waited for its targets.
type Freed struct {
	// Release let them go, and Sequence is where in the stream; empty and 0 for none.
	Release  string
	Sequence uint64
}

// AwaitedTargets are the targets that a release waits for, where it waits for nothing else:
// those of the wave in work that it does not have, in step 3 all of its own.
func (s State) AwaitedTargets() []string {
	other := func(h *releasev1.HoldReason) bool { return h.GetRule() != HoldTargetBusy }
	if s.Phase != PhaseHeld || len(s.Holds) == 0 || slices.ContainsFunc(s.Holds, other) {
		return nil
	}
	if s.HeldFor != PhaseExecute {
		return Targets(s.Request)
	}
	return slices.DeleteFunc(slices.Clone(s.WaveTargets()), func(id string) bool { return slices.Contains(s.Touched, id) })
}

// EndsToTellOf are the releases by whose end somebody may have to be woken, as far as that
// shows in the state of one: itself, when it has let its targets go; the one by which it was
// woken, when it did not take what is free; and those that it waits for, since they may have
// ended between its look and its hold.
func EndsToTellOf(s State) []string {
	var out []string
	if s.Started() && s.LetGo() {
		out = append(out, s.Release)
	}
	if s.passesOn() {
		out = append(out, s.Freed.Release)
	}
	if len(s.AwaitedTargets()) == 0 {
		return out
	}
	for _, h := range s.Holds {
		if id := h.GetSubject(); ValidRelease(id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// passesOn reports whether a release was woken before its start, or before a wave, and does
// not go on there: it is held, was refused, or has ended.
func (s State) passesOn() bool {
	if s.Freed.Release == "" || s.HeldFor != PhaseExecute {
		return false
	}
	switch s.Phase { //nolint:exhaustive // In the others it goes on, or is at work.
	case PhaseHeld:
		return true
	case PhaseEscalated:
		return s.EscalatedFor == releasev1.Cause_CAUSE_EXECUTION_REFUSED
	}
	return !s.Started() && s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
}

// DecideFreed wakes a release that waits for nothing but targets, because another one let
// these go at that place of the stream; nil where it waits for none of them, or was woken by
// that already.
func DecideFreed(s State, by Freed, let []string) *releasev1.Event {
	targets := slices.DeleteFunc(s.AwaitedTargets(), func(id string) bool { return !slices.Contains(let, id) })
	if len(targets) == 0 || by.Release == s.Release || by.Sequence <= s.Freed.Sequence {
		return nil
	}
	return &releasev1.Event{Data: &releasev1.Event_TargetFreed{TargetFreed: &releasev1.TargetFreed{
		Release: by.Release, Targets: targets, Sequence: by.Sequence,
	}}}
}

// applyTargetFreed makes the next look due, and no more: whoever looks judges everything
// anew. It ends no wait for anything else, and each end of another release ends one at most.
func (s *State) applyTargetFreed(e Entry, d *releasev1.TargetFreed) error {
	if err := s.expect(e, PhaseHeld); err != nil {
		return err
	}
	awaited := s.AwaitedTargets()
	switch {
	case len(awaited) == 0:
		return s.invalid(e, "it waits for something else than targets")
	case d.GetRelease() == "" || d.GetRelease() == s.Release:
		return s.invalid(e, "it names no other release")
	case len(d.GetTargets()) == 0:
		return s.invalid(e, "it names no target")
	case slices.ContainsFunc(d.GetTargets(), func(id string) bool { return !slices.Contains(awaited, id) }):
		return s.invalid(e, "it waits for none of these targets")
	case d.GetSequence() <= s.Freed.Sequence:
		return s.invalid(e, "it was woken by that, or by something later")
	case d.GetSequence() >= e.Sequence:
		return s.invalid(e, "it is woken by what is still to come")
	}
	s.Freed = Freed{Release: d.GetRelease(), Sequence: d.GetSequence()}
	s.Holds, s.HeldUntil = nil, time.Time{}
	s.enter(s.HeldFor, e.Stored)
	return nil
}
