package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// HoldEvidenceMissing is the rule of a hold in which gates wait for evidence.
const HoldEvidenceMissing = "evidence.missing"

// MaxLateEvidence is how many pieces of evidence may come after the request: each wakes
// the gates, and a history has an end.
const MaxLateEvidence = 32

// Evidence returns what the gates are judged by: what came with the request, and what
// came later, in the order in which it came.
func (s State) Evidence() []*releasev1.EvidenceRef {
	return slices.Concat(s.Requested.GetEvidence(), s.LateEvidence)
}

// TakesEvidence reports whether evidence that comes now can still change the verdict of
// the gates.
func (s State) TakesEvidence() bool {
	return s.Phase == PhaseGates || s.Phase == PhaseHeld && s.HeldFor == PhaseGates
}

// applyEvidenceAdded lets the gates look again. Evidence that is there already adds
// nothing, and would wake them for ever. What came before and could not be kept may come
// again: from then on it is kept.
func (s *State) applyEvidenceAdded(e Entry, d *releasev1.EvidenceAdded) error {
	if err := s.expect(e, PhaseGates, PhaseHeld); err != nil {
		return err
	}
	if !s.TakesEvidence() {
		return s.invalid(e, "no gate waits for evidence")
	}
	late, back := slices.Clip(s.LateEvidence), map[string]bool{}
	for _, ref := range d.GetEvidence() {
		digest := ref.GetDigest()
		known := slices.ContainsFunc(s.Requested.GetEvidence(), names(digest)) || slices.ContainsFunc(late, names(digest))
		switch {
		case !known:
			late = append(late, ref)
		case s.UnkeptReason(digest) == "" || back[digest] || slices.ContainsFunc(e.Event.GetUnkept(), named(digest)):
			return s.invalid(e, "evidence "+digest+" is there already")
		default:
			back[digest] = true
		}
	}
	if len(d.GetEvidence()) == 0 || len(late) > MaxLateEvidence {
		return s.invalid(e, "it brings nothing, or more than is taken")
	}
	s.LateEvidence = late
	s.Unkept = slices.DeleteFunc(slices.Clone(s.Unkept), func(u *releasev1.UnkeptEvidence) bool { return back[u.GetDigest()] })
	s.Holds, s.HeldUntil = nil, time.Time{}
	s.enter(PhaseGates, e.Stored)
	return nil
}

// applyGatesHeld makes the release wait for evidence, until it comes or the time for it
// is over; then the gates are judged again.
func (s *State) applyGatesHeld(e Entry, d *releasev1.Held) error {
	if err := s.expect(e, PhaseGates); err != nil {
		return err
	}
	return s.hold(e, d, PhaseGates)
}

// names reports of a reference whether it is to that digest.
func names(digest string) func(*releasev1.EvidenceRef) bool {
	return func(ref *releasev1.EvidenceRef) bool { return ref.GetDigest() == digest }
}

// named reports of what could not be kept whether it is what has that digest.
func named(digest string) func(*releasev1.UnkeptEvidence) bool {
	return func(u *releasev1.UnkeptEvidence) bool { return u.GetDigest() == digest }
}
