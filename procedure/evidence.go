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
// nothing, and would wake them for ever.
func (s *State) applyEvidenceAdded(e Entry, d *releasev1.EvidenceAdded) error {
	if err := s.expect(e, PhaseGates, PhaseHeld); err != nil {
		return err
	}
	if !s.TakesEvidence() {
		return s.invalid(e, "no gate waits for evidence")
	}
	if len(d.GetEvidence()) == 0 || len(s.LateEvidence)+len(d.GetEvidence()) > MaxLateEvidence {
		return s.invalid(e, "it brings nothing, or more than is taken")
	}
	known := s.Evidence()
	for _, ref := range d.GetEvidence() {
		if slices.ContainsFunc(known, func(k *releasev1.EvidenceRef) bool { return k.GetDigest() == ref.GetDigest() }) {
			return s.invalid(e, "evidence "+ref.GetDigest()+" is there already")
		}
		known = append(known, ref)
	}
	s.LateEvidence = append(slices.Clip(s.LateEvidence), d.GetEvidence()...)
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
