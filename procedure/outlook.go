package procedure

import (
	"fmt"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Standing is where a step stands on the way of a release.
type Standing uint8

// The standings, in the order in which a step passes them.
const (
	// StandingAhead is still to come.
	StandingAhead Standing = iota
	// StandingNow is where the release is.
	StandingNow
	// StandingDone is behind it.
	StandingDone
	// StandingNever is what a release that is over will not come to.
	StandingNever
)

// Stage is one step as it looks from where the release is (N-18).
type Stage struct {
	// Number and Name are those of the step.
	Number, Name string
	Standing     Standing
	// Waits is what the step waits for now; empty for all but the one that is in work.
	Waits []string
	// Service acts next; empty where it is people, or time.
	Service string
	// Until is the next deadline of the step in work; zero for the others.
	Until time.Time
}

// stages are the steps on the way to production and out of it, with the first and the
// last of the phases that belong to each, and who works on it.
var stages = []struct {
	number, name string
	first, last  Phase
	service      string
}{
	{"0", "request", PhaseNone, PhaseNone, ServiceApproval},
	{"1", "gates", PhaseGates, PhaseGates, ServiceApproval},
	{"2", "scope", PhaseScope, PhaseScope, ServiceValidator},
	{"3", "risk", PhasePreview, PhaseRisk, ServiceApproval},
	{"A", "authorize", PhaseApprove, PhaseApprove, ""},
	{"4", "notify", PhaseNotify, PhaseNotify, ServiceApproval},
	{"5", "execute", PhaseExecute, PhaseExecuting, ServiceExecutor},
	{"6", "verify", PhaseVerify, PhaseVerify, ServiceValidator},
	{"8", "record", PhaseRelease, PhaseClosed, ServiceRecorder},
}

// Stages says of every step where it stands at that time, and of the one in work what it
// waits for. What documents and other releases have to do with it is not known here.
func Stages(s State, at time.Time) []Stage {
	phase := s.Phase
	if phase == PhaseHeld {
		phase = s.HeldFor
	}
	over := s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
	out := make([]Stage, 0, len(stages))
	for _, x := range stages {
		stage := Stage{Number: x.number, Name: x.name}
		switch {
		case phase > x.last, x.first == PhaseNone:
			stage.Standing = StandingDone
			if over && !s.came(x.first) {
				stage.Standing = StandingNever
			}
		case phase == PhaseClosed && x.last == PhaseClosed:
			stage.Standing = StandingDone
		case phase >= x.first:
			stage.Standing, stage.Service = StandingNow, x.service
		}
		if stage.Standing == StandingNow {
			s.wait(&stage, at)
		}
		out = append(out, stage)
	}
	return out
}

// came reports whether a release that is over came past a phase, as far as that can be
// told from what it left behind.
func (s State) came(p Phase) bool {
	switch {
	case p <= PhaseGates:
		return len(s.Gates) > 0 || p == PhaseNone
	case p == PhaseScope:
		return len(s.Targets) > 0
	case p <= PhaseRisk:
		return s.ChangeDigest != ""
	case p == PhaseApprove:
		return s.Authorized != nil
	case p <= PhaseExecuting:
		return s.Started()
	}
	return s.Verifications > 0
}

// wait says what the step in work waits for.
func (s State) wait(stage *Stage, at time.Time) {
	if d, ok := NextDeadline(s); ok {
		stage.Until = d.At
	}
	say := func(format string, args ...any) { stage.Waits = append(stage.Waits, fmt.Sprintf(format, args...)) }
	if s.Paused() && !s.heldByPause() {
		defer func() { say("nothing new begins: %s", s.pausedWords()) }()
	}
	switch s.Phase { //nolint:exhaustive // Of the others it is the service that is waited for.
	case PhaseHeld:
		s.waitHeld(stage)
	case PhasePreview:
		stage.Service = ServiceExecutor
	case PhaseApprove:
		_, missing := Count(s, at)
		for _, m := range missing {
			say("%d more approval(s) by %s", m.GetCount(), m.GetGroup())
		}
		if len(missing) == 0 {
			stage.Service = ServiceApproval
		}
	case PhaseExecute, PhaseExecuting, PhaseVerify:
		if waves := len(s.Request.GetPlan().GetWaves()); waves > 1 {
			say("wave %d of %d", s.Wave+1, waves)
		}
		stage.Waits = append(stage.Waits, Awaited(s, at)...)
	case PhaseRelease:
		stage.Service = ServiceExecutor
	case PhaseFollowUp:
		for _, e := range s.OpenEscalations() {
			say("somebody who takes on %s", e)
		}
		if open := Unclosed(s); len(open) > 0 {
			say("somebody who closes the incident, of %v", open)
		}
		if s.ReviewOwed() {
			say("the review of the emergency")
		}
	}
}

// waitHeld says why a release is held, and until when, where somebody knows. A wait without a known
// end is shown with the time since when it lasts: that of the next look is the end of nothing.
func (s State) waitHeld(stage *Stage) {
	stage.Service = ""
	known := true
	for _, h := range s.Holds {
		if h.GetRule() == HoldPaused && s.Paused() {
			stage.Waits = append(stage.Waits, s.pausedWords())
			continue
		}
		text := h.GetRule()
		if h.GetSubject() != "" {
			text += " " + h.GetSubject()
		}
		if h.GetSetBy() != "" {
			text += ", set by " + h.GetSetBy()
		}
		stage.Waits = append(stage.Waits, text+": "+h.GetMessage())
		known = known && h.GetUntil() != nil
	}
	switch {
	case s.Paused() && s.heldByPause(): // Its deadline ends it.
	case known:
		stage.Until = s.HeldUntil
	default:
		stage.Until = time.Time{}
		stage.Waits = append(stage.Waits, fmt.Sprintf("held since %s, looked at again %s",
			s.HeldSince.UTC().Format(time.RFC3339), s.HeldUntil.UTC().Format(time.RFC3339)))
	}
}

// pausedWords says who paused the release, since when and why.
func (s State) pausedWords() string {
	return fmt.Sprintf("paused by %s since %s: %s", s.Pause.Person, s.Pause.Since.UTC().Format(time.RFC3339), s.Pause.Reason)
}
