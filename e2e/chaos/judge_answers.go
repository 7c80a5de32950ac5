package chaos

import (
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// answers counts what people were told is done, and of which no event was on record when
// they were told so.
func (b *bench) answers() {
	for _, c := range b.calls {
		if c.Op == opRequest || c.Answer != ok {
			continue // Requests are looked for where they are stored.
		}
		stored := func(e procedure.Entry) bool { return !e.Stored.After(c.Time) && c.did(e.Event) }
		if !slices.ContainsFunc(b.counted[c.Release], stored) {
			b.count(&b.Lost, "lost", "%s was told at %s that to %s %s is done, and nothing of it was stored", c.Person, c.Time, c.Op, c.Release)
		}
	}
}

// did reports whether an event is what the call asked for.
func (c call) did(e *releasev1.Event) bool {
	if e.GetActor().GetId() != c.Person {
		return false
	}
	switch c.Op {
	case opApprove:
		return e.GetApprovalGiven() != nil && e.GetApprovalGiven().GetChangeDigest() == c.Digest
	case opReject:
		return e.GetRejected() != nil
	case opWithdraw:
		return e.GetWithdrawn() != nil
	case opAbort:
		return e.GetAborted() != nil
	case opAcknowledge:
		return e.GetAcknowledged() != nil
	case opClose:
		return e.GetIncidentClosed() != nil
	case opIntervene:
		return e.GetIntervened() != nil && e.GetIntervened().GetAction().String() == c.Action
	case opReview:
		return e.GetReviewCompleted() != nil
	}
	return false
}

// asked reports whether a person did ask for what an event says. A call whose answer was
// lost may have been carried out as well.
func (b *bench) asked(release string, e *releasev1.Event) bool {
	return slices.ContainsFunc(b.calls, func(c call) bool { return c.Release == release && c.did(e) })
}
