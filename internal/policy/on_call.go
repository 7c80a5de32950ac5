package policy

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Who is on call is in the group for what cannot wait: approving, in the emergency lane as
// well, rejecting, handling a release under way, being called, told and reminded. Whoever
// asks about that asks here, and says as of when: PeopleAt, GroupsAt, OnCall. Everything
// else asks for the members alone (People, GroupsOf), and a rota widens none of it: reviews
// of emergencies, exceptions of freezes, quarantine, ownership, code reviews, what is to be done
// after a release, and changes of the document, which says who is on call.

// rota is one that was understood.
type rota struct {
	*policyv1.Rota
	turns freeze.Turns
	first time.Time
}

// rotasOf are the rotas of a group that can be understood, in the order in which they begin.
// A document that was checked has no others.
func rotasOf(group *policyv1.Group) []rota {
	var out []rota
	for _, r := range group.GetOnCall().GetRotas() {
		turns, err := freeze.NewTurns(r.GetBegin(), r.GetTimeZone(), r.GetShift().AsDuration())
		if err != nil || len(r.GetPeople()) == 0 {
			continue
		}
		out = append(out, rota{Rota: r, turns: turns, first: turns.Begin(0)})
	}
	slices.SortStableFunc(out, func(a, b rota) int { return a.first.Compare(b.first) })
	return out
}

// OnCall returns who is on call for a group at a moment, and in which shift: what holds from
// its beginning up to but not including its end. Nobody is before the first rota begins, nor
// where it would be a machine or somebody who has left.
func (x *Index) OnCall(group string, at time.Time) (person string, shift *releasev1.Shift) {
	rotas := x.rotas[group]
	i := len(rotas) - 1
	for i >= 0 && rotas[i].first.After(at) {
		i--
	}
	if i < 0 {
		return "", nil
	}
	number, from, until, ok := rotas[i].turns.At(at)
	if !ok {
		return "", nil
	}
	if i+1 < len(rotas) && rotas[i+1].first.Before(until) {
		until = rotas[i+1].first
	}
	person = rotas[i].GetPeople()[number%len(rotas[i].GetPeople())]
	why, instead := "", false
	for _, o := range x.groups[group].GetOnCall().GetOverrides() {
		begins, ends := o.GetFrom().AsTime(), o.GetUntil().AsTime()
		switch {
		case !begins.Before(ends):
		case !begins.After(at) && at.Before(ends):
			person, why, instead, from, until = o.GetPerson(), o.GetReason(), true, begins, ends
		case instead:
		case begins.After(at) && begins.Before(until):
			until = begins
		case !ends.After(at) && ends.After(from):
			from = ends
		}
	}
	p := x.Person(person)
	if p.GetId() == "" || p.GetInactive() || p.GetMachine() {
		return "", nil
	}
	return p.GetId(), &releasev1.Shift{
		Group: group, Rota: rotas[i].GetName(), Number: uint32(number) + 1, //nolint:gosec // A shift lasts an hour at the least.
		From: timestamppb.New(from), Until: timestamppb.New(until), Override: why,
	}
}

// PeopleAt returns the ids of those who can decide something in a group at a moment, its
// members and who is on call, each once; in alphabetical order.
func (x *Index) PeopleAt(group string, at time.Time) []string {
	ids := x.People(group)
	if person, _ := x.OnCall(group, at); person != "" && !slices.Contains(ids, person) {
		ids = append(ids, person)
		slices.Sort(ids)
	}
	return ids
}

// Shifts are those in which a person, named by id or alias, is on call at a moment, for
// groups that they are no member of: whoever is one needs no shift. In the order of the names
// of the groups.
func (x *Index) Shifts(name string, at time.Time) []*releasev1.Shift {
	id := x.Person(name).GetId()
	if id == "" {
		return nil
	}
	var out []*releasev1.Shift
	for group := range x.rotas {
		if person, shift := x.OnCall(group, at); person == id && !slices.Contains(x.groupsOf[id], group) {
			out = append(out, shift)
		}
	}
	slices.SortFunc(out, func(a, b *releasev1.Shift) int { return strings.Compare(a.GetGroup(), b.GetGroup()) })
	return out
}

// GroupsAt returns the names of the groups that a person is in at a moment, as a member or
// on call, in alphabetical order.
func (x *Index) GroupsAt(name string, at time.Time) []string {
	out := x.GroupsOf(name)
	for _, s := range x.Shifts(name, at) {
		out = append(out, s.GetGroup())
	}
	slices.Sort(out)
	return out
}

// Rostered returns the names of the groups for which a person is on call at some time, by a
// rota or an override, in alphabetical order.
func (x *Index) Rostered(name string) []string {
	var out []string
	for _, group := range x.document.GetGroups() {
		if x.groups[group.GetName()] == group && slices.Contains(x.turning(group.GetName()), x.Person(name).GetId()) {
			out = append(out, group.GetName())
		}
	}
	slices.Sort(out)
	return out
}

// Ever returns the ids of everybody who can decide something in a group at some time; in
// alphabetical order.
func (x *Index) Ever(group string) []string {
	ids := append(x.People(group), x.turning(group)...)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// turning returns the ids of those who are on call for a group at some time, as far as they
// can decide something.
func (x *Index) turning(group string) []string {
	call := x.groups[group].GetOnCall()
	var named []string
	for _, r := range call.GetRotas() {
		named = append(named, r.GetPeople()...)
	}
	for _, o := range call.GetOverrides() {
		named = append(named, o.GetPerson())
	}
	var ids []string
	for _, name := range named {
		if p := x.Person(name); p != nil && !p.GetInactive() && !p.GetMachine() && !slices.Contains(ids, p.GetId()) {
			ids = append(ids, p.GetId())
		}
	}
	return ids
}

// always returns how many people can decide something in a group at any time after its rota
// has begun: its members, and one who is on call, where that is never one of them.
func (x *Index) always(group string) int {
	members, turning := x.People(group), x.turning(group)
	if len(turning) == 0 || slices.ContainsFunc(turning, func(id string) bool { return slices.Contains(members, id) }) {
		return len(members)
	}
	return len(members) + 1
}

// most returns as many people of a group as there are in it at any one time, who is on call
// included.
func (x *Index) most(group string) []string {
	members := x.People(group)
	for _, id := range x.turning(group) {
		if !slices.Contains(members, id) {
			return append(members, id)
		}
	}
	return members
}
