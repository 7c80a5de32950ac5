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

// Lapsed returns the first waiver that counts for nothing any more at that time, or nil.
// With one, a release may not start (PD-1.2): nobody answers for the gate then.
func (s State) Lapsed(at time.Time) *releasev1.Waiver {
	for _, g := range s.LapsedGates(at) {
		return g.Waiver
	}
	return nil
}

// LapsedGate is a gate that was let through by a waiver that is over.
type LapsedGate struct {
	Gate   string
	Waiver *releasev1.Waiver
}

// LapsedGates returns every gate for which nobody answers any more at that time, with the
// first of its waivers that is over.
func (s State) LapsedGates(at time.Time) (all []LapsedGate) {
	for _, v := range s.Gates {
		if v.GetStatus() != releasev1.GateVerdict_STATUS_WAIVED {
			continue
		}
		over := slices.IndexFunc(v.GetWaivers(), func(w *releasev1.Waiver) bool { return !at.Before(w.GetExpires().AsTime()) })
		if over >= 0 {
			all = append(all, LapsedGate{v.GetGate(), v.GetWaivers()[over]})
		}
	}
	return all
}

// GateBypass is how an emergency says that it goes around a gate.
func GateBypass(gate string) string { return "gate " + gate }

// lapsed is Lapsed, without the gates that an emergency says it goes around, or said:
// somebody who answered for one of them has not put it in the way of the emergency
// (PD-A.5). No other lane goes around anything.
func (s State) lapsed(at time.Time, around []string) *releasev1.Waiver {
	for _, g := range s.LapsedGates(at) {
		b := GateBypass(g.Gate)
		if !slices.Contains(around, b) && !slices.Contains(s.Bypassed, b) {
			return g.Waiver
		}
	}
	return nil
}

// badWaivers says why the waivers of a verdict cannot let its gate through; empty where
// they can. Whoever answers for a gate neither asked for the change nor wrote of it, by
// any of the verdicts.
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
