package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Reasons for which nobody stands in for somebody (D-1.4).
var (
	// ErrNoStandIns says that the procedure has none, or none for the group.
	ErrNoStandIns = errors.New("the procedure has no stand-ins for this")
	// ErrDelegation says that a delegation is none that the procedure has; the text names
	// the field.
	ErrDelegation = errors.New("delegation refused")
)

// early is how much the clock of whoever delegates may be behind.
const early = time.Minute

// chain is how many stand-ins may be between a person and who approves.
func (x *Index) chain() int { return int(max(x.document.GetStandIns().GetChain(), 1)) }

// allows reports whether the procedure has stand-ins for approvals of the group. Of a group
// in which an identity provider has to have its members, too, there are none: the provider
// says who logs in, and nobody asks it about somebody who does not (PD-A.4).
func (x *Index) allows(group string) bool {
	s := x.document.GetStandIns()
	return s != nil && emptyOrHas(s.GetGroups(), group) && x.Group(group).GetProviderGroup() == ""
}

// CheckDelegation says why somebody may not have that stand-in, beside the delegations
// that there are; the field is the one at fault. It gives nobody more than the person has:
// own are the groups that the person is in now, by document and provider, and those that they are on call for at some time;
// what comes of them is asked again whenever the stand-in approves.
func (x *Index) CheckDelegation(all []*releasev1.Delegation, d *releasev1.Delegation, own []string, at time.Time) (field string, err error) {
	rule := x.document.GetStandIns()
	if rule == nil {
		return "", ErrNoStandIns
	}
	refuse := func(field, format string, args ...any) (string, error) {
		return field, fmt.Errorf("%w: %s", ErrDelegation, fmt.Sprintf(format, args...))
	}
	stand := x.Person(d.GetStandIn())
	switch {
	case stand == nil || stand.GetId() != d.GetStandIn():
		return refuse("stand_in", "there is no person %q", d.GetStandIn())
	case stand.GetInactive() || stand.GetMachine():
		return refuse("stand_in", "%s has left, or is a machine", d.GetStandIn())
	case x.same(d.GetStandIn(), d.GetPerson()):
		return refuse("stand_in", "nobody stands in for themselves")
	}
	if !d.GetFrom().IsValid() || d.GetFrom().AsTime().Before(at.Add(-early)) {
		return refuse("from", "lies in the past")
	}
	longest := rule.GetLongest().AsDuration()
	if !d.GetUntil().IsValid() || !d.GetUntil().AsTime().After(d.GetFrom().AsTime()) || d.GetUntil().AsTime().Sub(d.GetFrom().AsTime()) > longest {
		return refuse("until", "lies after the beginning, by %s at the most", longest)
	}
	for i, g := range d.GetGroups() {
		if !slices.Contains(own, g) || !x.allows(g) {
			return refuse(fmt.Sprintf("groups[%d]", i), "%s is not in %s, or the procedure has no stand-ins for it", d.GetPerson(), g)
		}
	}
	if len(d.GetGroups()) == 0 && !slices.ContainsFunc(own, x.allows) {
		return "", ErrNoStandIns
	}
	if leads(all, d.GetStandIn(), d.GetPerson(), d) {
		return refuse("stand_in", "%s stands in for %s at that time, directly or by others", d.GetPerson(), d.GetStandIn())
	}
	return "", nil
}

// leads reports whether delegations lead from one person to another while another one
// holds: with it they would go round in a circle.
func leads(all []*releasev1.Delegation, from, to string, while *releasev1.Delegation) bool {
	seen := []string{from}
	for i := 0; i < len(seen); i++ {
		for _, d := range all {
			together := d.GetFrom().AsTime().Before(while.GetUntil().AsTime()) && while.GetFrom().AsTime().Before(d.GetUntil().AsTime())
			if d.GetPerson() == seen[i] && together && !slices.Contains(seen, d.GetStandIn()) {
				seen = append(seen, d.GetStandIn())
			}
		}
	}
	return from != to && slices.Contains(seen, to)
}

// StandIn is by which right somebody approves for a person at that time, by the shortest
// way of those that the procedure allows; nil where by none. Groups are those of the
// person for which every delegation on the way holds, and of these some for which the person
// is on call then.
func (x *Index) StandIn(all []*releasev1.Delegation, person, by string, at time.Time) *releasev1.StandIn {
	type way struct {
		at     string
		groups []string
		via    []*releasev1.Delegation
	}
	own := slices.DeleteFunc(x.GroupsAt(person, at), func(g string) bool { return !x.allows(g) })
	next, seen := []way{{at: person, groups: own}}, []string{person}
	for range x.chain() {
		var further []way
		for _, w := range next {
			for _, d := range all {
				if d.GetPerson() != w.at || slices.Contains(seen, d.GetStandIn()) || !holds(d, at) {
					continue
				}
				groups := slices.DeleteFunc(slices.Clone(w.groups), func(g string) bool { return !emptyOrHas(d.GetGroups(), g) })
				if len(groups) == 0 {
					continue
				}
				v := way{d.GetStandIn(), groups, append(slices.Clone(w.via), d)}
				if v.at == by {
					return &releasev1.StandIn{Person: person, Groups: v.groups, Delegations: v.via, OnCall: shiftsOf(x.Shifts(person, at), v.groups)}
				}
				further = append(further, v)
			}
		}
		for _, w := range further {
			seen = append(seen, w.at)
		}
		next = further
	}
	return nil
}

// shiftsOf are the shifts that are for one of the groups.
func shiftsOf(shifts []*releasev1.Shift, groups []string) []*releasev1.Shift {
	return slices.DeleteFunc(shifts, func(s *releasev1.Shift) bool { return !slices.Contains(groups, s.GetGroup()) })
}

func holds(d *releasev1.Delegation, at time.Time) bool {
	return !at.Before(d.GetFrom().AsTime()) && at.Before(d.GetUntil().AsTime())
}
