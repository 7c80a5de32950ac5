package chaos

import (
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// deadlines counts deadlines that were said to have passed before they had. Also an
// event that does not count says what its writer believed.
func (b *bench) deadlines() {
	for release, s := range b.states {
		for _, e := range b.entries["rel."+release] {
			var due time.Time
			switch d := e.Event.GetData().(type) {
			case *releasev1.Event_DeadlinePassed:
				due = d.DeadlinePassed.GetDue().AsTime()
			case *releasev1.Event_Expired:
				due = b.expiry(release, s, e, d.Expired.GetDeadline())
			}
			if !due.IsZero() && e.Stored.Before(due) {
				b.count(&b.Early, "early", "%s: %s %s before it was due", release, procedure.TypeOf(e.Event), due.Sub(e.Stored))
			}
		}
	}
}

// decisions counts what a person decided before an executor that was lost could no
// longer come back, and was told that it is done. It does not count by the fold.
func (b *bench) decisions() {
	for _, c := range b.calls {
		if c.Op != opIntervene || c.Answer != ok {
			continue
		}
		seen := map[string]bool{}
		for _, e := range b.entries["rel."+c.Release] {
			// Copies that the run itself stored are nobody's decision.
			first := !seen[e.Event.GetId()]
			seen[e.Event.GetId()] = true
			if !first || e.Stored.After(c.Time) || !c.did(e.Event) || b.countsAt(c.Release, e.Sequence) {
				continue
			}
			if from := b.upTo(c.Release, e.Sequence).DecideFrom; e.Stored.Before(from) {
				b.count(&b.Early, "early", "%s decided about %s %s before an executor that was lost was over", c.Person, c.Release, from.Sub(e.Stored))
			}
		}
	}
}

// countsAt reports whether the message of that sequence is an event of the release that
// counts.
func (b *bench) countsAt(release string, sequence uint64) bool {
	return slices.ContainsFunc(b.counted[release], func(e procedure.Entry) bool { return e.Sequence == sequence })
}

// upTo is a release before a sequence.
func (b *bench) upTo(release string, sequence uint64) procedure.State {
	var before []procedure.Entry
	for _, e := range b.counted[release] {
		if e.Sequence < sequence {
			before = append(before, e)
		}
	}
	state, _ := procedure.Fold(release, before)
	return state
}

// expiry is when the release expired, by the newest event before that says so.
func (b *bench) expiry(release string, s procedure.State, at procedure.Entry, kind releasev1.Deadline) time.Time {
	due := s.Requested.GetStartBy().AsTime()
	for _, e := range b.counted[release] {
		if e.Sequence >= at.Sequence {
			break
		}
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_RiskCleared:
			if kind == releasev1.Deadline_DEADLINE_APPROVE {
				due = d.RiskCleared.GetApproveBy().AsTime()
			}
		case *releasev1.Event_Authorized:
			if until := d.Authorized.GetValidUntil().AsTime(); kind == releasev1.Deadline_DEADLINE_START && until.Before(due) {
				due = until
			}
		}
	}
	return due
}
