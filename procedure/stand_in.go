package procedure

import (
	"errors"
	"fmt"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrStandIn says that somebody may not approve for somebody else.
var ErrStandIn = errors.New("person may not approve for the other")

// by is whose approval it is: that of the person, or of the one they stand in for.
func (a Approval) by() string {
	if a.StandIn != nil {
		return a.StandIn.GetPerson()
	}
	return a.Person
}

// byHand reports whether the approval counts where it has to be signed: the person's own
// signature of an approval of their own.
func (a Approval) byHand() bool { return a.Signature != nil && a.StandIn == nil }

// inPlace makes it an approval in place of somebody else's: with the groups of that
// person, as they were frozen, and none of the stand-in's own.
func (a Approval) inPlace(of *releasev1.StandIn) Approval {
	if of != nil {
		a.StandIn, a.Groups = of, of.GetGroups()
	}
	return a
}

// MayStandIn says why somebody may not approve the change for somebody else (D-1.4).
// Separation of duties is not widened by it, in no lane: neither of the two may have a
// part in the change, nor anybody between them, who would choose who approves it. Of a
// person and their stand-ins one approval counts.
func MayStandIn(s State, stand *releasev1.StandIn, by string) error {
	if stand == nil {
		return nil
	}
	if len(stand.GetDelegations()) == 0 || stand.GetPerson() == "" || stand.GetPerson() == by {
		return fmt.Errorf("%w: no delegation is named", ErrStandIn)
	}
	at := stand.GetPerson()
	people := []string{by, at}
	for _, d := range stand.GetDelegations() {
		if d.GetPerson() != at {
			return fmt.Errorf("%w: delegation %d is none of %s", ErrStandIn, d.GetNumber(), at)
		}
		at = d.GetStandIn()
		people = append(people, at)
	}
	if at != by {
		return fmt.Errorf("%w: the delegations do not lead to %s", ErrStandIn, by)
	}
	for _, p := range people {
		if role := s.ownRole(p); role != "" {
			return fmt.Errorf("%w: %s is %s", ErrOwnChange, p, role)
		}
	}
	if !slices.ContainsFunc(s.Quorum, func(q *releasev1.QuorumRule) bool {
		return !q.GetSigned() && slices.Contains(stand.GetGroups(), q.GetGroup())
	}) {
		return fmt.Errorf("%w: %s in place of %s", ErrNotApprover, by, stand.GetPerson())
	}
	return nil
}

// StoodInFor is whose approval somebody gave: their own, or that of the person they stand
// in for.
func (s State) StoodInFor(person string) string {
	if i := s.approvalOf(person); i >= 0 {
		return s.Approvals[i].by()
	}
	return person
}

// usedUp reports whether somebody's approval is there already and counts at that time, by
// themselves or by a stand-in.
func (s State) usedUp(person string, at time.Time) bool {
	return slices.ContainsFunc(s.Approvals, func(a Approval) bool { return a.by() == person && at.Before(a.Expires) })
}
