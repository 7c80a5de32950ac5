package standing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

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

// maxReason bounds the reason of a delegation in the events after the one that made it, in
// bytes. Whoever delegates is held to it; once it was more, and a few of those filled the
// event so that nobody could delegate or revoke any more.
const maxReason = 256

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
		Delegations: append(d.carried(at), one), Changed: one, LastNumber: one.GetNumber(), RevokedNumbers: d.Void,
	}}}
}

// Revoked is the event after which one is no more.
func (d Delegations) Revoked(one *releasev1.Delegation, reason string, at time.Time) *releasev1.Event {
	left := slices.DeleteFunc(d.carried(at), func(x *releasev1.Delegation) bool { return x.GetNumber() == one.GetNumber() })
	return &releasev1.Event{Data: &releasev1.Event_DelegationsChanged{DelegationsChanged: &releasev1.DelegationsChanged{
		Delegations: left, Changed: brief(one), Revoked: true, Reason: reason, LastNumber: d.Last, RevokedNumbers: d.without(one.GetNumber()),
	}}}
}

// carried are those that are not over at that time, as the next event carries them on.
func (d Delegations) carried(at time.Time) []*releasev1.Delegation {
	var out []*releasev1.Delegation
	for _, x := range d.All {
		if at.Before(x.GetUntil().AsTime()) {
			out = append(out, brief(x))
		}
	}
	return out
}

// brief is a delegation with as much of its reason as every event has room for. All of it
// stays in the event that made it.
func brief(x *releasev1.Delegation) *releasev1.Delegation {
	if len(x.GetReason()) <= maxReason {
		return x
	}
	x = proto.CloneOf(x)
	x.Reason = strings.ToValidUTF8(x.GetReason()[:maxReason-len("…")], "") + "…"
	return x
}
