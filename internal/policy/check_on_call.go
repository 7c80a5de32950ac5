package policy

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// maxRostered is for how many groups one person may be on call: every decision of theirs
// names the shifts.
const maxRostered = 8

// onCall checks that the rotas of a group say at any time from the first one on who is on
// call, and that this is one person who can decide (U2).
func (c *checker) onCall(path string, group *policyv1.Group) {
	call := group.GetOnCall()
	if call == nil {
		return
	}
	c.unique(path+".rotas", "name", names(call.GetRotas(), (*policyv1.Rota).GetName))
	var first, before time.Time
	for i, r := range call.GetRotas() {
		at := fmt.Sprintf("%s.rotas[%d]", path, i)
		for j, person := range r.GetPeople() {
			c.onDuty(fmt.Sprintf("%s.people[%d]", at, j), person)
		}
		begins, ok := c.rota(at, r)
		if !ok {
			continue
		}
		if first.IsZero() {
			first = begins
		}
		if !before.IsZero() && !before.Before(begins) {
			c.report(at+".begin", "on_call.order", "it begins at %s, and the rota before it at %s: each holds until the next one begins", stamped(begins), stamped(before))
		}
		before = begins
	}
	c.overrides(path+".overrides", call.GetOverrides(), first)
}

// rota says when a rota begins, by understanding it.
func (c *checker) rota(path string, r *policyv1.Rota) (time.Time, bool) {
	if _, err := freeze.Zone(r.GetTimeZone()); err != nil {
		if r.GetTimeZone() != "" { // the schema says so
			c.report(path+".time_zone", "time_zone.unknown", "%q is no time zone of the IANA database, such as Europe/Berlin", r.GetTimeZone())
		}
		return time.Time{}, false
	}
	shift := r.GetShift().AsDuration()
	if shift%time.Minute != 0 {
		c.report(path+".shift", "on_call.shift", "%s is no whole minutes, which is what clocks show", shift)
		return time.Time{}, false
	}
	turns, err := freeze.NewTurns(r.GetBegin(), r.GetTimeZone(), max(shift, time.Hour))
	if err != nil {
		if r.GetBegin() != "" && shift <= 400*24*time.Hour {
			c.report(path+".begin", "on_call.begin", "%v", err)
		}
		return time.Time{}, false
	}
	return turns.Begin(0), true
}

// overrides checks that one person takes over at a time, and for somebody.
func (c *checker) overrides(path string, all []*policyv1.OnCallOverride, first time.Time) {
	for i, o := range all {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.onDuty(at+".person", o.GetPerson())
		c.moment(at+".from", o.GetFrom())
		c.moment(at+".until", o.GetUntil())
		from, until := o.GetFrom().AsTime(), o.GetUntil().AsTime()
		switch {
		case o.GetFrom() == nil || o.GetUntil() == nil:
			continue // the schema says so
		case !from.Before(until):
			c.report(at+".until", "on_call.span", "must be after from")
		case !first.IsZero() && from.Before(first):
			c.report(at+".from", "on_call.gap", "nobody is on call before %s, when the first rota begins: an override takes over from somebody", stamped(first))
		}
		for j, other := range all[:i] {
			if from.Before(other.GetUntil().AsTime()) && other.GetFrom().AsTime().Before(until) {
				c.report(at+".from", "on_call.overlap", "it holds at the same time as %s[%d], of %s: two people would be on call", path, j, other.GetPerson())
			}
		}
	}
}

// onDuty checks somebody who is to be on call.
func (c *checker) onDuty(field, id string) {
	if id == "" {
		c.report(field, "on_call.nobody", "somebody has to be on call")
		return
	}
	c.person(field, id)
	if c.index.Person(id).GetMachine() {
		c.report(field, "person.machine", "%s is a machine, and a machine is never on call", id)
	}
}

// rostered reports who is on call for too many groups.
func (c *checker) rostered() {
	for i, person := range c.document.GetPeople() {
		if n := len(c.index.Rostered(person.GetId())); n > maxRostered {
			c.report(fmt.Sprintf("people[%d].id", i), "on_call.many", "%s is on call for %d groups, and one decision names the shifts of %d", person.GetId(), n, maxRostered)
		}
	}
}

// Gaps returns what is wrong with a document at a moment for want of somebody on call: what
// the members of a group alone cannot do before its first rota begins. From then on somebody
// is on call for good, so that whoever brings a document into force asks once.
func Gaps(document *policyv1.Procedure, at time.Time) []strictyaml.Violation {
	var was, out []strictyaml.Violation
	index := NewIndex(document)
	for i, group := range document.GetGroups() {
		rotas := index.rotas[group.GetName()]
		if len(rotas) == 0 || !rotas[0].first.After(at) {
			continue
		}
		if was == nil {
			was = Check(document)
		}
		early := proto.CloneOf(document)
		early.Groups[i].OnCall = nil
		for _, v := range Check(early) {
			if !slices.Contains(was, v) {
				out = append(out, strictyaml.Violation{
					Field: fmt.Sprintf("groups[%d].on_call.rotas[0].begin", i), Rule: "on_call.gap",
					Message: fmt.Sprintf("nobody is on call for the group %s before %s, and now %s: %s", group.GetName(), stamped(rotas[0].first), v.Field, v.Message),
				})
			}
		}
	}
	return out
}

func stamped(t time.Time) string { return t.UTC().Format(time.RFC3339) }
