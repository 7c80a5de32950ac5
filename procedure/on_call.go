package procedure

import (
	"errors"
	"fmt"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrOffDuty says that somebody decided for a group that they were in by being on call, and
// that they were not on call for it when it was stored (U2).
var ErrOffDuty = errors.New("person was not on call then")

// onDuty holds what is demanded of a decision that somebody made by being on call. Which
// shift it was is frozen into the event, as groups are; whether the decision fell into it is
// judged by the time of storing, whatever clock told the service that it did. What ends later
// takes nothing back that was decided in its time.
func onDuty(e Entry) error {
	a := e.Event.GetActor()
	if len(a.GetOnCall()) > 0 && a.GetKind() != releasev1.Actor_KIND_HUMAN {
		return fmt.Errorf("%w: %s is no person, and only people are on call", ErrOffDuty, a.GetId())
	}
	if err := inShifts(a.GetId(), a.GetOnCall(), a.GetGroups(), e.Stored); err != nil {
		return err
	}
	stand := e.Event.GetApprovalGiven().GetStandIn()
	return inShifts(stand.GetPerson(), stand.GetOnCall(), stand.GetGroups(), e.Stored)
}

// inShifts says which of the shifts the moment does not lie in: from the beginning of each up
// to but not including its end.
func inShifts(person string, shifts []*releasev1.Shift, groups []string, at time.Time) error {
	for _, s := range shifts {
		if !slices.Contains(groups, s.GetGroup()) {
			return fmt.Errorf("%w: %s is on call for %q, which is none of their groups", ErrOffDuty, person, s.GetGroup())
		}
		if s.GetFrom() == nil || s.GetUntil() == nil || at.Before(s.GetFrom().AsTime()) || !at.Before(s.GetUntil().AsTime()) {
			return fmt.Errorf("%w: %s is on call for %s from %s until %s, and it was stored at %s", ErrOffDuty, person, s.GetGroup(),
				moment(s.GetFrom().AsTime()), moment(s.GetUntil().AsTime()), moment(at))
		}
	}
	return nil
}
