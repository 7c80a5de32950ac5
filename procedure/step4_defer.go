package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxDeferred bounds for how long a notice waits: what is told after that is no news, and
// every wait has an end (N-10).
const maxDeferred = 14 * 24 * time.Hour

// Deferral is a channel that has not been told of a notice yet: it is in its quiet hours,
// or notices are gathered for it.
type Deferral struct {
	Notice
	Channel string
	Until   time.Time
	// By is the sequence of the event that deferred it: a notice that is raised again is
	// another one.
	By uint64
	// Due says that its time has come, by the server's clock.
	Due bool
}

// MayWait reports whether channels may be told of a notice later, where they have quiet
// hours or gather notices. What calls people never waits, and neither does anything of an
// emergency, what says that something was wrong, or what is to be answered in time (PD-4.2). Of a start whoever tells has
// to know besides whether the release waits for somebody to be told.
func MayWait(s State, o releasev1.Occasion) bool {
	if s.Emergency() {
		return false
	}
	switch o {
	case releasev1.Occasion_OCCASION_START, releasev1.Occasion_OCCASION_END, releasev1.Occasion_OCCASION_ROLLBACK:
		return true
	case releasev1.Occasion_OCCASION_UNSPECIFIED, releasev1.Occasion_OCCASION_ESCALATION, releasev1.Occasion_OCCASION_EMERGENCY,
		releasev1.Occasion_OCCASION_CORRECTION, releasev1.Occasion_OCCASION_TAKEN_ON, releasev1.Occasion_OCCASION_REMINDER,
		releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN, releasev1.Occasion_OCCASION_APPROVAL_WANTED, releasev1.Occasion_OCCASION_APPROVAL_SETTLED,
		releasev1.Occasion_OCCASION_SIGN_OFF_WANTED:
	}
	return false
}

// DecideLater records that channels were told of what had been deferred by the event of
// that sequence, and what became of it for people.
func DecideLater(n Notice, by uint64, receipts []*releasev1.Receipt, recipients []*releasev1.Recipient) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Notified{Notified: &releasev1.Notified{
		Occasion: n.Occasion, Number: n.Number, Receipts: receipts, Recipients: recipients, DeferredBy: by,
	}}}
}

// Waits returns until when a notice waits for a channel; false where it does not, or its
// time has come.
func (s State) Waits(o releasev1.Occasion, channel string) (time.Time, bool) {
	for _, d := range s.Deferred {
		if d.Occasion == o && d.Channel == channel && !d.Due {
			return d.Until, true
		}
	}
	return time.Time{}, false
}

// DueNotice returns the channels that are to be told now of what was deferred: those of
// the oldest notice. None where nothing is due.
func DueNotice(s State) []Deferral {
	var out []Deferral
	for _, d := range s.Deferred {
		if d.Due && (len(out) == 0 || d.By == out[0].By) {
			out = append(out, d)
		}
	}
	return out
}

// deferAll keeps which channels are told later, or says that they may not be. A correction
// waits only for what it corrects. One whose time is over already is told at once: its
// deadline passes at the next look.
func (s *State) deferAll(e Entry, n Notice, d *releasev1.Notified) error {
	for _, x := range d.GetDeferred() {
		_, waits := s.Waits(releasev1.Occasion_OCCASION_START, x.GetChannel())
		follows := n.Occasion == releasev1.Occasion_OCCASION_CORRECTION && waits
		switch {
		case !MayWait(*s, n.Occasion) && !follows:
			return s.invalid(e, "this is told at once")
		case slices.ContainsFunc(d.GetAudience(), func(p *releasev1.Party) bool { return p.GetAcknowledgeBy() != nil }):
			return s.invalid(e, "what people have to say that they know is told at once")
		case x.GetChannel() == "" || x.GetUntil() == nil || x.GetUntil().AsTime().After(e.Stored.Add(maxDeferred)):
			return s.invalid(e, "a channel is told within two weeks")
		}
	}
	for _, d := range d.GetDeferred() {
		s.Deferred = append(slices.Clip(s.Deferred), Deferral{Notice: n, Channel: d.GetChannel(), Until: d.GetUntil().AsTime(), By: e.Sequence})
	}
	return nil
}

// applyLater strikes off what was deferred and is due.
func (s *State) applyLater(e Entry, d *releasev1.Notified) error {
	told := func(x Deferral) bool {
		return x.Due && x.By == d.GetDeferredBy() && x.Occasion == d.GetOccasion() && x.Number == d.GetNumber()
	}
	if !slices.ContainsFunc(s.Deferred, told) {
		return s.invalid(e, "nobody was to be told of this later, or not yet")
	}
	if len(d.GetDeferred())+len(d.GetAudience()) > 0 {
		return s.invalid(e, "what was deferred is told, and not deferred again")
	}
	s.Deferred = slices.DeleteFunc(slices.Clone(s.Deferred), told)
	return nil
}

// nextDeferred is when the first of those that wait are to be told.
func (s State) nextDeferred() (Deadline, bool) {
	var first time.Time
	for _, d := range s.Deferred {
		if !d.Due && (first.IsZero() || d.Until.Before(first)) {
			first = d.Until
		}
	}
	return Deadline{Kind: releasev1.Deadline_DEADLINE_DEFERRED, At: first}, !first.IsZero()
}

// deferredDue lets all be told whose time has come.
func (s *State) deferredDue(at time.Time) {
	s.Deferred = slices.Clone(s.Deferred)
	for i := range s.Deferred {
		if !at.Before(s.Deferred[i].Until) {
			s.Deferred[i].Due = true
		}
	}
}
