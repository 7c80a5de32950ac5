package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Told is a notice that somebody was told, with whom it was meant for and who said
// that they know.
type Told struct {
	Notice
	Audience       []*releasev1.Party
	AcknowledgedBy []string
	// Followed says that whoever was told is told again when it is no longer so.
	Followed bool
	// Timed says that this holds for until when it waits, too.
	Timed bool
}

// DecideNotified records that stakeholders were told, by channels that are meant for
// nobody in particular (PD-4.1).
func DecideNotified(n Notice, receipts []*releasev1.Receipt) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Notified{Notified: &releasev1.Notified{
		Occasion: n.Occasion, Number: n.Number, Receipts: receipts,
	}}}
}

// DecideTold records that stakeholders were told, whom it was meant for, and what became
// of it for each of them; they are told again when it is no longer so (PD-4.1, N-15).
func DecideTold(n Notice, receipts []*releasev1.Receipt, audience []*releasev1.Party, recipients []*releasev1.Recipient) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Notified{Notified: &releasev1.Notified{
		Occasion: n.Occasion, Number: n.Number, Receipts: receipts, Audience: audience, Recipients: recipients, Followed: true,
		TimesFollowed: n.Occasion == releasev1.Occasion_OCCASION_START,
	}}}
}

// applyNotified strikes the notice off the list. The notice of the start opens
// step 5, when those who have to know of it have said so. Whether every required channel
// was reached is the shell's to ensure before it appends this event; the receipts say what
// happened (PD-4.2).
func (s *State) applyNotified(e Entry, d *releasev1.Notified) error {
	if d.GetDeferredBy() != 0 {
		return s.applyLater(e, d)
	}
	n := Notice{Occasion: d.GetOccasion(), Number: d.GetNumber()}
	if !slices.Contains(s.Wanted, n) {
		return s.invalid(e, "nobody was to be told of this")
	}
	if err := s.deferAll(e, n, d); err != nil {
		return err
	}
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(w Notice) bool { return w == n })
	// What is told anew has to be acknowledged anew.
	s.Told = append(slices.DeleteFunc(slices.Clone(s.Told), func(t Told) bool { return t.Notice == n }),
		Told{Notice: n, Audience: d.GetAudience(), Followed: d.GetFollowed(), Timed: d.GetTimesFollowed()})
	if n.Occasion == releasev1.Occasion_OCCASION_START {
		s.Corrected = coming
		if len(d.GetWaitsFor()) > 0 {
			s.Corrected = waiting(d.GetWaitsFor())
		}
		s.KnownWaits = waits(d.GetWaitsFor())
	}
	if s.Phase == PhaseNotify && n.Occasion == releasev1.Occasion_OCCASION_START {
		s.await(e)
	}
	return nil
}
