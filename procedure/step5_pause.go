package procedure

import (
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// HoldPaused is the rule of the hold by a person who paused the release.
const HoldPaused = "paused"

// MaxPauses bounds how often one release can be paused: a history has an end.
const MaxPauses = 64

// Pause is a person's word that a release is to begin nothing new for now (PD-5.3).
type Pause struct {
	// Person gave it at this time, by the server's clock, for this reason; empty while it is not
	// paused.
	Person string
	Since  time.Time
	Reason string
}

// Paused reports whether somebody paused the release, and nobody has let it go on since.
func (s State) Paused() bool { return s.Pause.Person != "" }

// MayPause reports whether the release can still be kept from something: its start, another wave,
// or what a person orders of one that waits for a decision. On its way back and after it nothing
// begins that a pause would keep.
func MayPause(s State) bool {
	return !s.Paused() && s.AbortBy == "" && s.Pauses < MaxPauses && slices.Contains(pausable, s.Phase)
}

// pausable are the phases after which a wave may still begin.
var pausable = append([]Phase{PhaseExecuting, PhaseVerify, PhaseEscalated}, beforeStart...)

// PauseHold is the pause as a reason to wait, of which nobody knows the end.
func PauseHold(s State) *releasev1.HoldReason {
	return &releasev1.HoldReason{Rule: HoldPaused, SetBy: s.Pause.Person, Message: s.Pause.Reason}
}

// PauseUntil is when a pause is over that nobody ends: before a start when its time is over, and before
// a later wave, which has been held by it since that time, when people have had as long as they have
// to decide. Until then nothing that could be found out lets the release go on, so there is nothing to
// look at, and nothing to put on record (PD-5.3).
func PauseUntil(s State, since time.Time) time.Time {
	if len(s.Begun) == 0 {
		return s.startBy()
	}
	return since.Add(s.Requested.GetTimeouts().GetDecision().AsDuration())
}

// Holding is why the release waits now, and the pause where it will wait for that: what is under
// way when it is paused goes on to its end first.
func Holding(s State) []*releasev1.HoldReason {
	if !s.Paused() || s.heldByPause() || !slices.Contains(pausable, s.Phase) {
		return s.Holds
	}
	return append(slices.Clip(s.Holds), PauseHold(s))
}

// heldByPause reports whether the newest hold names the pause.
func (s State) heldByPause() bool {
	return slices.ContainsFunc(s.Holds, func(h *releasev1.HoldReason) bool { return h.GetRule() == HoldPaused })
}

// applyPaused keeps every claim of a wave from counting until the release is resumed. It changes
// no phase and no deadline: what is under way goes on, and what is over is over.
func (s *State) applyPaused(e Entry, d *releasev1.Paused) error {
	if err := s.expect(e, pausable...); err != nil {
		return err
	}
	by, err := s.human(e)
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(d.GetReason()) == "":
		return s.invalid(e, "it names no reason")
	case s.Paused():
		return s.invalid(e, "it is paused already, by "+s.Pause.Person)
	case s.AbortBy != "":
		return s.invalid(e, "it is being aborted, and begins nothing new")
	case s.Pauses >= MaxPauses:
		return s.invalid(e, "it was paused too often already: withdraw or abort it instead")
	}
	s.Pause = Pause{Person: by, Since: e.Stored, Reason: d.GetReason()}
	s.Pauses++
	return nil
}

// applyResumed lets the release go on. One that waits for that is looked at again at once: what
// else holds it is found out then.
func (s *State) applyResumed(e Entry, d *releasev1.Resumed) error {
	_, err := s.human(e)
	switch {
	case err != nil:
		return err
	case !s.Paused():
		return s.invalid(e, "it is not paused")
	case strings.TrimSpace(d.GetReason()) == "":
		return s.invalid(e, "it names no reason")
	}
	s.Pause = Pause{}
	if s.Phase == PhaseHeld && s.heldByPause() {
		s.Holds, s.HeldUntil, s.HeldSince = nil, time.Time{}, time.Time{}
		s.enter(s.HeldFor, e.Stored)
	}
	return nil
}
