package policy

import (
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Meant is people for whom a notice is meant, for one reason, and by which channels they
// are told; an empty list means those that are told of the occasion anyway.
type Meant struct {
	Audience *policyv1.Audience
	Reason   string
	People   []string
	Channels []string
	// Asked says that they are people whose acknowledgement the audience may ask for.
	Asked bool
}

// AudienceOf returns for whom a notice of that occasion about a release is meant: by the
// rules of the document, in their order, from who owns what the release touches, what
// depends on it, and whom it serves (PD-4.1). A rule that finds nobody is there with
// nobody, so that it is seen.
func (x *Index) AudienceOf(occasion releasev1.Occasion, r *releasev1.Request) []Meant {
	var targets []string
	for _, w := range r.GetPlan().GetWaves() {
		targets = append(targets, w.GetTargets()...)
	}
	return x.audience(occasion, r.GetEnvironment(), r.GetService(), r.GetOwner(), targets)
}

func (x *Index) audience(occasion releasev1.Occasion, environment, service, owner string, targets []string) []Meant {
	var out []Meant
	for _, a := range x.document.GetAudiences() {
		if !slices.Contains(a.GetOccasions(), occasion) || !emptyOrHas(a.GetEnvironments(), environment) || !emptyOrHas(a.GetServices(), service) {
			continue
		}
		add := func(reason string, asked bool, people ...string) {
			out = append(out, Meant{Audience: a, Reason: reason, People: people, Channels: a.GetChannels(), Asked: asked})
		}
		if a.GetOwners() {
			for _, group := range x.Service(service).GetOwnerGroups() {
				add("owns "+service+": "+group, true, x.People(group)...)
			}
			if p := x.Person(owner); p != nil {
				add("owner of the release", false, p.GetId())
			}
		}
		if a.GetDependents() {
			for _, other := range x.document.GetServices() {
				if !slices.Contains(other.GetDependencies(), service) {
					continue
				}
				for _, group := range other.GetOwnerGroups() {
					add("owns "+other.GetName()+", which depends on "+service+": "+group, true, x.People(group)...)
				}
			}
		}
		if a.GetCustomers() {
			for _, customer := range x.served(targets) {
				add("customer "+customer, true, x.Contacts(customer)...)
			}
		}
		for _, group := range a.GetGroups() {
			add("group "+group, true, x.People(group)...)
		}
	}
	return out
}

// served returns the customers whom the targets serve, in alphabetical order.
func (x *Index) served(targets []string) []string {
	var out []string
	for _, id := range targets {
		out = append(out, x.Target(id).GetCustomers()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Contacts returns the ids of the people who are told for a customer, in alphabetical
// order.
func (x *Index) Contacts(customer string) []string {
	var out []string
	for _, c := range x.document.GetCustomerContacts() {
		if c.GetCustomer() == customer {
			out = append(out, x.People(c.GetGroup())...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
