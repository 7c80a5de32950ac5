package policy

import (
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
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
// depends on it, and whom it serves, and from how dangerous it was weighed to be by then
// (PD-4.1). A rule that finds nobody is there with nobody, so that it is seen. Of a group
// those are meant who are in it at that moment, who is on call included.
func (x *Index) AudienceOf(occasion releasev1.Occasion, s procedure.State, at time.Time) []Meant {
	return x.audience(occasion, x.touchedBy(s.Request, s.Score), func(group string) []string { return x.PeopleAt(group, at) })
}

// touched is what an audience is chosen by.
type touched struct {
	environment, service, owner string
	targets                     []string
	score                       uint32
}

func (x *Index) touchedBy(r *releasev1.Request, score *releasev1.RiskScore) touched {
	return touched{r.GetEnvironment(), r.GetService(), r.GetOwner(), procedure.Targets(r), score.GetScore()}
}

// concerns reports whether an audience is one of releases that touch this.
func (x *Index) concerns(a *policyv1.Audience, t touched) bool {
	return emptyOrHas(a.GetEnvironments(), t.environment) && emptyOrHas(a.GetServices(), t.service) &&
		emptyOrHas(a.GetTiers(), x.Service(t.service).GetTier()) && emptyOrMeets(a.GetTargets(), t.targets) && t.score >= a.GetRiskFrom()
}

func (x *Index) audience(occasion releasev1.Occasion, t touched, people func(group string) []string) []Meant {
	var out []Meant
	for _, a := range x.document.GetAudiences() {
		if !slices.Contains(a.GetOccasions(), occasion) || !x.concerns(a, t) {
			continue
		}
		add := func(reason string, asked bool, ids ...string) {
			out = append(out, Meant{Audience: a, Reason: reason, People: ids, Channels: a.GetChannels(), Asked: asked})
		}
		if a.GetOwners() {
			for _, group := range x.Service(t.service).GetOwnerGroups() {
				add("owns "+t.service+": "+group, true, people(group)...)
			}
			if p := x.Person(t.owner); p != nil {
				add("owner of the release", false, p.GetId())
			}
		}
		if a.GetDependents() {
			for _, other := range x.document.GetServices() {
				if !slices.Contains(other.GetDependencies(), t.service) {
					continue
				}
				for _, group := range other.GetOwnerGroups() {
					add("owns "+other.GetName()+", which depends on "+t.service+": "+group, true, people(group)...)
				}
			}
		}
		if a.GetCustomers() {
			for _, customer := range x.served(t.targets) {
				add("customer "+customer, true, x.contacts(customer, people)...)
			}
		}
		for _, group := range a.GetGroups() {
			add("group "+group, true, people(group)...)
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

// contacts returns the ids of the people who are told for a customer, in alphabetical
// order.
func (x *Index) contacts(customer string, people func(group string) []string) []string {
	var out []string
	for _, c := range x.document.GetCustomerContacts() {
		if c.GetCustomer() == customer {
			out = append(out, people(c.GetGroup())...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
