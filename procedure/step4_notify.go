package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideNotified records that stakeholders were told (PD-4.1).
func DecideNotified(n Notice, receipts []*releasev1.Receipt) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Notified{Notified: &releasev1.Notified{
		Occasion: n.Occasion, Number: n.Number, Receipts: receipts,
	}}}
}

// applyNotified strikes the notice off the list. The notice of the start opens
// step 5. Whether every required channel was reached is the shell's to ensure
// before it appends this event; the receipts say what happened (PD-4.2).
func (s *State) applyNotified(e Entry, d *releasev1.Notified) error {
	n := Notice{Occasion: d.GetOccasion(), Number: d.GetNumber()}
	if !slices.Contains(s.Wanted, n) {
		return s.invalid(e, "nobody was to be told of this")
	}
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(w Notice) bool { return w == n })
	if s.Phase == PhaseNotify && n.Occasion == releasev1.Occasion_OCCASION_START {
		s.enter(PhaseExecute, e.Stored)
	}
	return nil
}
