package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideGates turns the verdicts of all required gates into the end of step 1
// (PD-1.1 to PD-1.3). A gate that is waived stops nothing. In an emergency a failed gate that may be bypassed is listed
// as bypassed and stops nothing (PD-A.5); every other failed gate refuses the
// release, and hides none of the others.
func DecideGates(s State, verdicts []*releasev1.GateVerdict, bypassable func(gate string) bool) *releasev1.Event {
	out := make([]*releasev1.GateVerdict, 0, len(verdicts))
	refused := false
	for _, v := range verdicts {
		if v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED && v.GetStatus() != releasev1.GateVerdict_STATUS_WAIVED {
			if s.Emergency() && bypassable(v.GetGate()) {
				v = &releasev1.GateVerdict{
					Gate: v.GetGate(), Status: releasev1.GateVerdict_STATUS_BYPASSED, Rule: v.GetRule(), Reason: v.GetReason(),
					Evidence: v.GetEvidence(), SignedBy: v.GetSignedBy(), Authors: v.GetAuthors(), Older: v.GetOlder(),
				}
			} else {
				refused = true
			}
		}
		out = append(out, v)
	}
	if refused {
		return &releasev1.Event{Data: &releasev1.Event_GatesRefused{GatesRefused: &releasev1.GatesRefused{Verdicts: out}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_GatesConfirmed{GatesConfirmed: &releasev1.GatesConfirmed{Verdicts: out}}}
}

func (s *State) applyGatesConfirmed(e Entry, d *releasev1.GatesConfirmed) error {
	if err := s.expect(e, PhaseGates); err != nil {
		return err
	}
	bypassed := slices.Clone(s.Bypassed)
	for _, v := range d.GetVerdicts() {
		switch v.GetStatus() {
		case releasev1.GateVerdict_STATUS_PASSED:
		case releasev1.GateVerdict_STATUS_BYPASSED:
			if !s.Emergency() {
				return s.invalid(e, "gate "+v.GetGate()+" is bypassed without an emergency")
			}
			bypassed = append(bypassed, GateBypass(v.GetGate()))
		case releasev1.GateVerdict_STATUS_WAIVED:
			if why := s.badWaivers(v, d.GetVerdicts(), e.Stored); why != "" {
				return s.invalid(e, "gate "+v.GetGate()+" is waived "+why)
			}
		case releasev1.GateVerdict_STATUS_FAILED, releasev1.GateVerdict_STATUS_UNSPECIFIED:
			return s.invalid(e, "gate "+v.GetGate()+" did not pass")
		default:
			return s.invalid(e, "gate "+v.GetGate()+" has an unknown status")
		}
	}
	s.Gates, s.Confirmed, s.Bypassed = d.GetVerdicts(), d, bypassed
	s.enter(PhaseScope, e.Stored)
	return nil
}

func (s *State) applyGatesRefused(e Entry, d *releasev1.GatesRefused) error {
	if err := s.expect(e, PhaseGates); err != nil {
		return err
	}
	s.Gates = d.GetVerdicts()
	reason := "refused at step 1"
	for _, v := range d.GetVerdicts() {
		if v.GetStatus() == releasev1.GateVerdict_STATUS_FAILED {
			reason += "; gate " + v.GetGate() + ": " + v.GetReason()
		}
	}
	s.end(releasev1.Outcome_OUTCOME_REJECTED, "", reason, e.Stored)
	return nil
}
