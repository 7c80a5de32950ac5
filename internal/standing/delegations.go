package standing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Delegations is who approves for whom under a procedure, now and later.
type Delegations struct {
	Head
	All []*releasev1.Delegation
	// Last is the highest number that was ever given.
	Last uint32
	// Void are the numbers of those that were revoked, the newest last.
	Void []uint32
}

// maxVoid bounds how many numbers of revoked delegations are kept: all are in one event.
// An approval that was given by an older one has long expired.
const maxVoid = 4096

// ReadDelegations reads the delegations under the procedure with that id.
func ReadDelegations(ctx context.Context, r Reader, id string) (Delegations, error) {
	aggregate := procedure.DelegationsAggregate(id)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Delegations{}, fmt.Errorf("read delegations of %s: %w", id, err)
	}
	if !found {
		return Delegations{Head: Head{Aggregate: aggregate}}, nil
	}
	d := e.Event.GetDelegationsChanged()
	out := Delegations{Head: headOf(aggregate, e), All: d.GetDelegations(), Last: d.GetLastNumber(), Void: d.GetRevokedNumbers()}
	if d.GetRevoked() {
		out.Void = out.without(d.GetChanged().GetNumber()) // It may have been written before there was such a list.
	}
	return out, nil
}

// without returns the numbers of the revoked with one more.
func (d Delegations) without(number uint32) []uint32 {
	if slices.Contains(d.Void, number) {
		return d.Void
	}
	void := append(slices.Clone(d.Void), number)
	return void[max(0, len(void)-maxVoid):]
}

// Counts reports whether an approval may still count that was given by that delegation,
// which was one then: it was not revoked, before its end or, seen from now, long ago. That
// one has come to its end takes nothing from what was given in its time.
func (d Delegations) Counts(one *releasev1.Delegation, at time.Time) bool {
	if slices.Contains(d.Void, one.GetNumber()) {
		return false
	}
	return !at.Before(one.GetUntil().AsTime()) || d.Find(one.GetNumber()) != nil
}

// Find returns the delegation with that number; nil where it is over, or never was.
func (d Delegations) Find(number uint32) *releasev1.Delegation {
	for _, x := range d.All {
		if x.GetNumber() == number {
			return x
		}
	}
	return nil
}

// Made is the event after which there is one more; its number is the next one.
func (d Delegations) Made(one *releasev1.Delegation, at time.Time) *releasev1.Event {
	one.Number = d.Last + 1
	return &releasev1.Event{Data: &releasev1.Event_DelegationsChanged{DelegationsChanged: &releasev1.DelegationsChanged{
		Delegations: append(d.present(at), one), Changed: one, LastNumber: one.GetNumber(), RevokedNumbers: d.Void,
	}}}
}

// Revoked is the event after which one is no more.
func (d Delegations) Revoked(one *releasev1.Delegation, reason string, at time.Time) *releasev1.Event {
	left := slices.DeleteFunc(d.present(at), func(x *releasev1.Delegation) bool { return x.GetNumber() == one.GetNumber() })
	return &releasev1.Event{Data: &releasev1.Event_DelegationsChanged{DelegationsChanged: &releasev1.DelegationsChanged{
		Delegations: left, Changed: one, Revoked: true, Reason: reason, LastNumber: d.Last, RevokedNumbers: d.without(one.GetNumber()),
	}}}
}

// present are those that are not over at that time.
func (d Delegations) present(at time.Time) []*releasev1.Delegation {
	return slices.DeleteFunc(slices.Clone(d.All), func(x *releasev1.Delegation) bool { return !at.Before(x.GetUntil().AsTime()) })
}
