package procedure

import (
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Waivers returns the waivers by which gates of the release were let through, in the
// order of the gates.
func (s State) Waivers() (all []*releasev1.Waiver) {
	for _, v := range s.Gates {
		if v.GetStatus() == releasev1.GateVerdict_STATUS_WAIVED {
			all = append(all, v.GetWaivers()...)
		}
	}
	return all
}

// LapsedGate is a gate that was let through by a waiver that counts for nothing any more.
type LapsedGate struct {
	Gate   string
	Waiver *releasev1.Waiver
}

// LapsedGates returns every gate for which nobody answers any more at that time, with the
// first of its waivers that is over. With one, a release may not start (PD-1.2).
func (s State) LapsedGates(at time.Time) []LapsedGate {
	return s.waivedBy(func(w *releasev1.Waiver) bool { return !at.Before(w.GetExpires().AsTime()) })
}

// waivedBy returns every gate with such a waiver.
func (s State) waivedBy(such func(*releasev1.Waiver) bool) (all []LapsedGate) {
	for _, v := range s.Gates {
		if v.GetStatus() != releasev1.GateVerdict_STATUS_WAIVED {
			continue
		}
		if i := slices.IndexFunc(v.GetWaivers(), such); i >= 0 {
			all = append(all, LapsedGate{v.GetGate(), v.GetWaivers()[i]})
		}
	}
	return all
}

// GateBypass is how an emergency says that it goes around a gate.
func GateBypass(gate string) string { return "gate " + gate }

// lapsed returns the first waiver that is over and keeps a release from starting at that
// time, or nil. Those of gates that an emergency says it goes around, or said, do not:
// somebody who answered for one of them has not put it in the way of the emergency (PD-A.5).
// No other lane goes around anything.
func (s State) lapsed(at time.Time, around []string) *releasev1.Waiver {
	for _, g := range s.LapsedGates(at) {
		b := GateBypass(g.Gate)
		if !slices.Contains(around, b) && !slices.Contains(s.Bypassed, b) {
			return g.Waiver
		}
	}
	return nil
}

// UnboundGates returns every gate that was let through by a waiver that does not say for
// which environment it was given, with the first of these. Such a one let a gate through
// before it had to say so; nothing starts by it any more.
func (s State) UnboundGates() []LapsedGate {
	return s.waivedBy(func(w *releasev1.Waiver) bool { return w.GetEnvironment() == "" })
}

// badWaivers says why the waivers of a verdict cannot let its gate through; empty where
// they can. Whoever answers for a gate neither asked for the change nor wrote of it, by
// any of the verdicts, and answers for it where it is released: what is kept of before a
// waiver had to say where (PD-1.2) says nothing of it, and counts as it did.
func (s *State) badWaivers(v *releasev1.GateVerdict, all []*releasev1.GateVerdict, at time.Time) string {
	if len(v.GetWaivers()) == 0 {
		return "by nobody"
	}
	for _, w := range v.GetWaivers() {
		switch {
		case w.GetOwner() == "" || strings.TrimSpace(w.GetReason()) == "":
			return "without an owner or a reason"
		case w.GetExpires() == nil || !at.Before(w.GetExpires().AsTime()):
			return "no longer"
		case w.GetEnvironment() != "" && w.GetEnvironment() != s.Request.GetEnvironment():
			return "for another environment"
		case w.GetService() != "" && w.GetService() != s.Request.GetService():
			return "for another service"
		case w.GetOwner() == s.Request.GetRequester():
			return "by the requester"
		case slices.Contains(s.Request.GetAuthors(), w.GetOwner()) || slices.ContainsFunc(all, func(o *releasev1.GateVerdict) bool {
			return slices.Contains(o.GetAuthors(), w.GetOwner())
		}):
			return "by an author"
		}
	}
	return ""
}
