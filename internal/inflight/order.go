package inflight

import (
	"github.com/blackdice/shipwarden/procedure"
)

// progress is how far a release is, in places of the stream.
type progress struct {
	state procedure.State
	// requested is where its first event is, and claimed where the claim is by which its first
	// effect was begun, or else the newest that is no takeover; 0 for none.
	requested, claimed uint64
	// urgent: it waits for none of its neighbors, being an emergency or a way back.
	urgent bool
}

// inFlight reports whether it has claimed anything and has not let its targets go yet. What
// only waits for its record is at its end: a recorder that is behind, or stopped, must keep
// no other release waiting.
func (p progress) inFlight() bool { return p.claimed > 0 && !p.state.LetGo() }

// begun reports whether it has changed a target, or may have.
func (p progress) begun() bool { return len(p.state.Begun) > 0 }

// atWork reports whether targets may differ because of it: something has begun, or the
// executor has set out. One that is not has claimed targets and changed none: its wave was
// not begun, and it waits to be ordered again, or to start after that.
func (p progress) atWork() bool {
	switch p.state.Phase { //nolint:exhaustive // In the others nobody is on the way to its targets.
	case procedure.PhaseExecuting, procedure.PhaseRemedy, procedure.PhaseRollingBack, procedure.PhaseVerifyRollback:
		return true
	}
	return p.begun()
}

// before says why the other one goes before this one; empty where it does not. Turn says that
// the other one has changed nothing and only goes first.
//
// There is a rank in it, and each waits for lower ones alone, so that nobody waits in a circle:
// what has claimed nothing; what has and is not at work; what is at work, and of these what
// waits itself for none. Within a rank the place in the stream decides.
func (l Look) before(me, other progress) (why string, turn bool) {
	const flight = "is in flight"
	switch {
	case !other.inFlight():
		why = l.turn(me, other)
		return why, why != ""
	case me.state.Phase == procedure.PhaseExecuting:
		// Between a claim and its effect: what has begun is brought to its end, and of two
		// that have not the claim decides, which both of them see.
		if !me.begun() && other.atWork() && other.claimed < me.claimed {
			return flight + ", and claimed its targets first", false
		}
		return "", false
	case me.claimed == 0:
		return flight, false
	case !me.begun() && other.atWork():
		return flight, false // Whatever it claimed once, its start is still to come.
	case !me.begun():
		why = l.again(me, other)
		return why, why != ""
	case !other.atWork():
		return "", false // That one waits for this one.
	case other.state.Phase == procedure.PhaseHeld:
		return "", false // Waiting for what waits, nobody would ever go on.
	case other.urgent:
		return flight + ", and is an emergency or a way back", false
	case other.claimed < me.claimed:
		return flight + ", and began first", false
	}
	return "", false
}

// turn says why another one that may start just now goes first, where neither has claimed.
func (l Look) turn(me, other progress) string {
	switch {
	case me.claimed > 0 || other.claimed > 0 || !l.aboutTo(other):
		return ""
	case other.urgent:
		return "is about to start, and is an emergency or a way back"
	case other.requested < me.requested:
		return "is about to start, and was asked for first"
	}
	return ""
}

// again is the same of two that were ordered again before anything of them had begun.
func (l Look) again(me, other progress) string {
	switch {
	case !l.aboutTo(other):
		return ""
	case other.urgent:
		return "is about to start again, and is an emergency or a way back"
	case other.claimed < me.claimed:
		return "is about to start again, and claimed its targets first"
	}
	return ""
}

// aboutTo reports whether it may start just now. What may for longer than a turn is stuck.
func (l Look) aboutTo(other progress) bool {
	return l.Turn > 0 && other.state.Phase == procedure.PhaseExecute && l.Now.Sub(other.state.Entered) < l.Turn
}

// first is the place of the first event.
func first(entries []procedure.Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[0].Sequence
}

// claimed is the place of the claim by which its first effect was begun, or else of the newest
// that is no takeover. Events that do not count in the history do not count here. What was
// claimed before anything had begun and is ordered again starts by its next claim: by its old
// place it would pass what began since.
func claimed(release string, entries []procedure.Entry) (at uint64) {
	s := procedure.State{Release: release}
	for _, e := range entries {
		next, err := procedure.Evolve(s, e)
		if err != nil {
			continue
		}
		if e.Event.GetExecutionClaimed() != nil && len(s.Begun) == 0 && s.Phase != procedure.PhaseExecuting {
			at = e.Sequence
		}
		s = next
	}
	return at
}
