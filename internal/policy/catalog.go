package policy

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Owns reports whether a person may answer for releases of a service: an active person,
// no machine, who owns it or is in a group that does. The id must be the person's own
// (PD-2.2).
func (x *Index) Owns(person, service string) bool {
	return x.OwnsIn(x.GroupsOf(person), person, service)
}

// OwnsIn is Owns for somebody who is in these groups of the document's now: an identity
// provider may have taken them out of others.
func (x *Index) OwnsIn(of []string, person, service string) bool {
	p, s := x.Person(person), x.Service(service)
	if p == nil || p.GetId() != person || p.GetInactive() || p.GetMachine() {
		return false
	}
	return slices.Contains(s.GetOwners(), person) ||
		slices.ContainsFunc(s.GetOwnerGroups(), func(g string) bool { return slices.Contains(of, g) })
}

// Owners returns the ids of everybody who may answer for releases of a service, in
// alphabetical order.
func (x *Index) Owners(service string) []string {
	var ids []string
	for _, id := range x.Service(service).GetOwners() {
		if x.Owns(id, service) {
			ids = append(ids, id)
		}
	}
	for _, g := range x.Service(service).GetOwnerGroups() {
		ids = append(ids, x.People(g)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// OwnerContacts returns how to reach who owns a service: its teams first, then its people.
func (x *Index) OwnerContacts(service string) []*policyv1.Contact {
	var out []*policyv1.Contact
	for _, g := range x.Service(service).GetOwnerGroups() {
		out = append(out, x.Group(g).GetContacts()...)
	}
	for _, id := range x.Owners(service) {
		out = append(out, x.Person(id).GetContacts()...)
	}
	return out
}

// Dependents returns the services that depend on a service, in the order of the document:
// the other direction of Service.dependencies, which is written down nowhere.
func (x *Index) Dependents(service string) []*policyv1.Service {
	var out []*policyv1.Service
	for _, s := range x.document.GetServices() {
		if slices.Contains(s.GetDependencies(), service) {
			out = append(out, s)
		}
	}
	return out
}

// Depth is how deep each of these targets lies among them: over how many others of them the
// longest chain of dependencies from it leads, also where targets stand between that are none
// of them. Whatever depends on another one lies deeper than that one does (PD-7.1).
func (x *Index) Depth(targets []string) map[string]uint32 {
	all, out := map[string]uint32{}, make(map[string]uint32, len(targets))
	var depth func(id string) uint32
	depth = func(id string) uint32 {
		if n, known := all[id]; known {
			return n
		}
		all[id] = 0 // In a circle, which no document that is in effect has, it ends here.
		var n uint32
		for _, d := range x.Target(id).GetDependencies() {
			below := depth(d)
			if slices.Contains(targets, d) {
				below++
			}
			n = max(n, below)
		}
		all[id] = n
		return n
	}
	for _, t := range targets {
		out[t] = depth(t)
	}
	return out
}

// Takes reports whether a version is in a range of versions, as requirements have them. An
// error says that one of the two is none.
func Takes(versions, version string) (bool, error) {
	c, err := semver.NewConstraint(versions)
	if err != nil {
		return false, fmt.Errorf("%q is no range of versions: %w", versions, err)
	}
	v, err := semver.StrictNewVersion(version)
	if err != nil {
		return false, fmt.Errorf("%q is no version: %w", version, err)
	}
	return c.Check(v), nil
}
