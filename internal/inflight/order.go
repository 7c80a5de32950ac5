package inflight

import (
	"slices"

	"github.com/blackdice/shipwarden/procedure"
)

// progress is how far a release is, in places of the stream.
type progress struct {
	state procedure.State
	// requested and claimed are where its first event and its first claim that counts are; 0
	// for none.
	requested, claimed uint64
}

// begun reports whether it has claimed anything and is not recorded yet.
func (p progress) begun() bool { return p.claimed > 0 && !p.state.Recorded }

// before says why the other one goes before this one; empty where it does not.
func (l Look) before(me, other progress) string {
	const flight = "is in flight"
	switch {
	case !other.begun():
		return l.turn(me, other)
	case me.state.Phase == procedure.PhaseExecuting:
		// Between a claim and its effect: what has begun is brought to its end, and of two
		// that have not the claim decides, which both of them see.
		if len(me.state.Begun) == 0 && other.claimed < me.claimed {
			return flight + ", and claimed its targets first"
		}
		return ""
	case me.claimed == 0:
		return flight
	case other.state.Phase == procedure.PhaseHeld:
		return "" // Waiting for what waits, nobody would ever go on.
	case other.state.Urgent():
		return flight + ", and is an emergency or a way back"
	case other.claimed < me.claimed:
		return flight + ", and began first"
	}
	return ""
}

// turn says why another one that may start just now goes first.
func (l Look) turn(me, other progress) string {
	if l.Turn == 0 || me.claimed > 0 || other.claimed > 0 || other.state.Phase != procedure.PhaseExecute || l.Now.Sub(other.state.Entered) >= l.Turn {
		return ""
	}
	switch {
	case other.state.Urgent():
		return "is about to start, and is an emergency or a way back"
	case other.requested < me.requested:
		return "is about to start, and was asked for first"
	}
	return ""
}

// first is the place of the first event.
func first(entries []procedure.Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[0].Sequence
}

// claimed is the place of the first claim that counts.
func claimed(release string, entries []procedure.Entry) uint64 {
	_, rejected := procedure.Fold(release, entries)
	for _, e := range entries {
		if e.Event.GetExecutionClaimed() != nil && !slices.ContainsFunc(rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence }) {
			return e.Sequence
		}
	}
	return 0
}
