package policy

import (
	"bytes"
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// people checks that every name of a person is the name of one person: two
// people who share an alias could approve each other's changes as one, or one
// person could approve as two (PD-A.1).
func (c *checker) people() {
	owner := make(map[string]int)
	first := make(map[string]string)
	claim := func(field, name string, person int) {
		folded := fold(name)
		if folded == "" {
			return // the schema says so
		}
		before, taken := owner[folded]
		switch {
		case !taken:
			owner[folded], first[folded] = person, field
		case before == person:
			c.report(field, "duplicate", "%q names this person already, in %s", name, first[folded])
		default:
			c.report(field, "person.ambiguous", "%q names %s already, in %s", name, c.document.GetPeople()[before].GetId(), first[folded])
		}
	}
	for i, person := range c.document.GetPeople() {
		claim(fmt.Sprintf("people[%d].id", i), person.GetId(), i)
		c.service(fmt.Sprintf("people[%d].id", i), person.GetId(), person)
	}
	for i, person := range c.document.GetPeople() {
		for j, alias := range person.GetAliases() {
			claim(fmt.Sprintf("people[%d].aliases[%d]", i, j), alias, i)
			c.service(fmt.Sprintf("people[%d].aliases[%d]", i, j), alias, person)
		}
	}
}

// service keeps the names of the services, which stand in certificates and events, from
// being those of people: a service that could pass for a person could approve (PD-A.1).
func (c *checker) service(field, name string, person *policyv1.Person) {
	for _, s := range []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder} {
		if fold(name) == fold(s) && !person.GetMachine() {
			c.report(field, "person.service", "%q is the name of a service of shipwarden, and no person", name)
		}
	}
}

func (c *checker) groups() {
	groups := c.document.GetGroups()
	c.unique("groups", "name", names(groups, (*policyv1.Group).GetName))
	for i, group := range groups {
		path := fmt.Sprintf("groups[%d].members", i)
		c.unique(path, "", group.GetMembers())
		for j, member := range group.GetMembers() {
			c.person(fmt.Sprintf("%s[%d]", path, j), member)
		}
		c.onCall(fmt.Sprintf("groups[%d].on_call", i), group)
	}
}

// person reports an id that names nobody who may be named.
func (c *checker) person(field, id string) {
	switch person := c.index.Person(id); {
	case person == nil:
		c.report(field, "person.unknown", "there is no person %q", id)
	case person.GetId() != id:
		c.report(field, "person.alias", "%q is another name of %s: write the id", id, person.GetId())
	case person.GetInactive():
		c.report(field, "person.inactive", "%s is inactive and may be named nowhere", id)
	}
}

// approvers checks a group of which the members decide: it is there, no machine is in it, and
// so many people are. A field that is empty is the schema's matter.
func (c *checker) approvers(field, name string, count int) {
	c.deciders(field, name, count, len(c.index.People(name)), ": who is on call does not count for this")
}

// onCallToo is approvers for what those on call decide as well.
func (c *checker) onCallToo(field, name string, count int) {
	c.deciders(field, name, count, c.index.always(name), " at any time, who is on call included")
}

func (c *checker) deciders(field, name string, count, people int, turns string) {
	if name == "" {
		return
	}
	group := c.index.Group(name)
	if group == nil {
		c.report(field, "group.unknown", "there is no group %q", name)
		return
	}
	for _, id := range group.GetMembers() {
		if person := c.index.Person(id); person.GetMachine() {
			c.report(field, "group.machine", "the group %s decides, and its member %s is a machine", name, id)
		}
	}
	if people < count {
		if group.GetOnCall() == nil {
			turns = ""
		}
		c.report(field, "group.small", "%d of the group %s are needed, and %d can%s", count, name, people, turns)
	}
}

// approvals checks a list of quorum rules.
func (c *checker) approvals(path string, rules []*policyv1.Approvals) {
	c.unique(path, "group", names(rules, (*policyv1.Approvals).GetGroup))
	for i, rule := range rules {
		c.onCallToo(fmt.Sprintf("%s[%d].group", path, i), rule.GetGroup(), int(rule.GetCount()))
		if rule.GetSigned() {
			c.signers(fmt.Sprintf("%s[%d].signed", path, i), rule.GetGroup(), int(rule.GetCount()))
		}
	}
}

// keys checks that a public key is one key, for one purpose at a time.
func (c *checker) keys() {
	keys := c.document.GetKeys()
	c.unique("keys", "id", names(keys, (*policyv1.Key).GetId))
	c.unique("keys", "ed25519", names(keys, func(key *policyv1.Key) string { return fmt.Sprintf("%x", key.GetEd25519()) }))
	for i, key := range keys {
		path := fmt.Sprintf("keys[%d]", i)
		if public := key.GetEd25519(); len(public) > 0 && bytes.Count(public, public[:1]) == len(public) {
			// All zero is a point of order 4: anybody can sign for it.
			c.report(path+".ed25519", "key.placeholder", "this is no public key")
		}
		c.known(path+".gates", "gate", key.GetGates(), c.hasGate)
		c.waives(path+".waives", key.GetWaives())
		c.known(path+".services", "service", key.GetServices(), c.hasService)
		c.moment(path+".not_before", key.GetNotBefore())
		c.moment(path+".not_after", key.GetNotAfter())
		from, to := key.GetNotBefore(), key.GetNotAfter()
		if from != nil && to != nil && !from.AsTime().Before(to.AsTime()) {
			c.report(path+".not_after", "key.span", "not_after must be after not_before")
		}
	}
}
