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
	for _, w := range s.Waivers() {
		if !at.Before(w.GetExpires().AsTime()) {
			return w
		}
	}
	return nil
}

// Unbound returns the first waiver that does not say for which environment it was given, or
// nil. Such a one let a gate through before it had to say so; nothing starts by it any more.
func (s State) Unbound() *releasev1.Waiver {
	for _, w := range s.Waivers() {
		if w.GetEnvironment() == "" {
			return w
		}
	}
	return nil
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
