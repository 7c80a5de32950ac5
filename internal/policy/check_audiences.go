package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxMeant is how many people one notice may be meant for, counted once for each reason:
// the event that says so holds them all.
const maxMeant = 128

// audiences checks that every rule finds somebody, whatever is released: a rule that
// finds nobody is silence that looks like telling.
func (c *checker) audiences() {
	all := c.document.GetAudiences()
	c.unique("audiences", "name", names(all, (*policyv1.Audience).GetName))
	for i, a := range all {
		path := fmt.Sprintf("audiences[%d]", i)
		enums(c, path+".occasions", a.GetOccasions(), releasev1.Occasion_name)
		c.known(path+".environments", "environment", a.GetEnvironments(), c.hasEnvironment)
		c.known(path+".services", "service", a.GetServices(), c.hasService)
		c.selectors(path, a)
		c.known(path+".groups", "group", a.GetGroups(), c.hasGroup)
		c.known(path+".channels", "channel", a.GetChannels(), func(name string) bool {
			return slices.ContainsFunc(c.document.GetChannels(), func(channel *policyv1.Channel) bool { return channel.GetName() == name })
		})
		if !a.GetOwners() && !a.GetDependents() && !a.GetCustomers() && len(a.GetGroups()) == 0 {
			c.report(path+".groups", "audience.nobody", "it names neither owners, dependents, customers nor a group")
		}
		if a.GetAcknowledge() != nil && !slices.Contains(a.GetOccasions(), releasev1.Occasion_OCCASION_START) {
			c.report(path+".acknowledge", "audience.acknowledge", "only a start waits for people, and it is not told of OCCASION_START")
		}
		c.reached(path, a)
	}
	c.contacts()
	for i, environment := range c.document.GetEnvironments() {
		c.meant(fmt.Sprintf("environments[%d].name", i), environment.GetName())
	}
}

// selectors checks that there is something that an audience is chosen by.
func (c *checker) selectors(path string, a *policyv1.Audience) {
	c.known(path+".targets", "target", a.GetTargets(), c.hasTarget)
	for i, tier := range a.GetTiers() {
		if !slices.ContainsFunc(c.document.GetServices(), func(s *policyv1.Service) bool { return s.GetTier() == tier }) {
			c.report(fmt.Sprintf("%s.tiers[%d]", path, i), "tier.unknown", "no service is of tier %d", tier)
		}
	}
	if a.GetRiskFrom() > 0 && c.document.GetRiskScore() == nil {
		c.report(path+".risk_from", "audience.risk", "nothing is weighed: there is no risk_score, and no release would ever reach %d", a.GetRiskFrom())
	}
}

// contacts checks who is told for customers.
func (c *checker) contacts() {
	for i, contact := range c.document.GetCustomerContacts() {
		path := fmt.Sprintf("customer_contacts[%d]", i)
		if !slices.ContainsFunc(c.document.GetTargets(), func(t *policyv1.Target) bool { return slices.Contains(t.GetCustomers(), contact.GetCustomer()) }) {
			c.report(path+".customer", "customer.unknown", "no target serves the customer %q", contact.GetCustomer())
		}
		switch group := contact.GetGroup(); {
		case group == "":
		case !c.hasGroup(group):
			c.report(path+".group", "group.unknown", "there is no group %q", group)
		case len(c.index.Ever(group)) == 0:
			c.report(path+".group", "group.small", "nobody in the group %s can be told", group)
		}
	}
}

// reached checks that a rule without channels of its own is told by some channel.
func (c *checker) reached(path string, a *policyv1.Audience) {
	if len(a.GetChannels()) > 0 {
		return
	}
	for _, occasion := range a.GetOccasions() {
		for _, environment := range c.document.GetEnvironments() {
			for _, service := range c.document.GetServices() {
				most := c.most(environment.GetName(), service.GetName())
				if len(most.targets) > 0 && c.index.concerns(a, most) &&
					!c.told(occasion, environment.GetName(), service.GetName(), func(*policyv1.Channel) bool { return true }) {
					c.report(path+".channels", "channel.missing", "no channel tells of %s for the service %s in %s", occasion, service.GetName(), environment.GetName())
				}
			}
		}
	}
}

// meant checks for every service what a release to all targets of the environment would
// find: that nobody is left out, and that an event holds it.
func (c *checker) meant(field, environment string) {
	for _, service := range c.document.GetServices() {
		most := c.most(environment, service.GetName())
		if len(most.targets) == 0 {
			continue
		}
		for value := range releasev1.Occasion_name {
			people := 0
			for _, m := range c.index.audience(releasev1.Occasion(value), most, c.index.most) {
				people += len(m.People)
				if len(m.People) == 0 {
					c.nobody(m, environment, service.GetName())
				}
			}
			if people > maxMeant {
				c.report(field, "audiences.many", "a notice of %s for the service %s is meant for %d people, and one event holds %d", releasev1.Occasion(value), service.GetName(), people, maxMeant)
			}
		}
	}
}

// most is a release to everywhere that weighs as much as any: what it finds, each of them
// finds at the most.
func (c *checker) most(environment, service string) touched {
	most := touched{environment: environment, service: service, score: math.MaxUint32}
	for _, t := range c.document.GetTargets() {
		if t.GetEnvironment() == environment && slices.Contains(t.GetServices(), service) && !t.GetRetired() {
			most.targets = append(most.targets, t.GetId())
		}
	}
	return most
}

func (c *checker) nobody(m Meant, environment, service string) {
	i := slices.Index(c.document.GetAudiences(), m.Audience)
	message := fmt.Sprintf("it finds nobody for the service %s in %s: %s", service, environment, m.Reason)
	field := fmt.Sprintf("audiences[%d]", i)
	if !slices.ContainsFunc(c.found, func(v strictyaml.Violation) bool { return v.Field == field && v.Message == message }) {
		c.report(field, "audience.nobody", "%s", message)
	}
}
