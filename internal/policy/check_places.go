package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func (c *checker) environments() {
	environments := c.document.GetEnvironments()
	c.unique("environments", "name", names(environments, (*policyv1.Environment).GetName))
	for i, environment := range environments {
		path := fmt.Sprintf("environments[%d]", i)
		c.approvals(path+".approvals", environment.GetApprovals())
		if environment.GetRequireNotice() {
			c.notice(path+".require_notice", environment.GetName())
		}
	}
}

// notice checks that where stakeholders must be told before execution, a channel
// is there that must tell them; else the demand would be met by silence (PD-4.2).
func (c *checker) notice(field, environment string) {
	for _, service := range c.document.GetServices() {
		if c.deployed(environment, service.GetName()) && !c.told(releasev1.Occasion_OCCASION_START, environment, service.GetName(), (*policyv1.Channel).GetRequired) {
			c.report(field, "channel.missing", "no channel that is required tells of OCCASION_START for the service %s", service.GetName())
		}
	}
}

// heard checks that wherever something is released, some channel tells of the occasion
// whom it is for: who is called by nothing at all is on record as called, and sleeps.
func (c *checker) heard(field string, occasion releasev1.Occasion, whom string, serves func(*policyv1.Channel) bool) {
	for _, environment := range c.document.GetEnvironments() {
		for _, service := range c.document.GetServices() {
			if c.deployed(environment.GetName(), service.GetName()) && !c.told(occasion, environment.GetName(), service.GetName(), serves) {
				c.report(field, "channel.missing", "no channel tells %s of %s for the service %s in %s", whom, occasion, service.GetName(), environment.GetName())
			}
		}
	}
}

func (c *checker) told(occasion releasev1.Occasion, environment, service string, serves func(*policyv1.Channel) bool) bool {
	return slices.ContainsFunc(c.document.GetChannels(), func(channel *policyv1.Channel) bool {
		return slices.Contains(channel.GetOccasions(), occasion) && emptyOrHas(channel.GetEnvironments(), environment) &&
			emptyOrHas(channel.GetServices(), service) && serves(channel)
	})
}

func (c *checker) deployed(environment, service string) bool {
	return slices.ContainsFunc(c.document.GetTargets(), func(target *policyv1.Target) bool {
		return target.GetEnvironment() == environment && slices.Contains(target.GetServices(), service)
	})
}

// services checks the catalogue. A cycle of dependencies is allowed: it means
// that services must not be released at the same time, whichever is first.
func (c *checker) services() {
	services := c.document.GetServices()
	c.unique("services", "name", names(services, (*policyv1.Service).GetName))
	for i, service := range services {
		path := fmt.Sprintf("services[%d]", i)
		c.known(path+".owner_groups", "group", service.GetOwnerGroups(), c.hasGroup)
		for j, id := range service.GetOwners() {
			c.owner(fmt.Sprintf("%s.owners[%d]", path, j), id)
		}
		c.unique(path+".owners", "", service.GetOwners())
		if len(c.index.Owners(service.GetName())) == 0 && len(service.GetOwnerGroups())+len(service.GetOwners()) > 0 {
			c.report(path+".owner_groups", "group.small", "nobody can own a release of %s", service.GetName())
		}
		if tier := service.GetTier(); (tier == 1 || tier == 2) && len(c.index.OwnerContacts(service.GetName())) == 0 {
			c.report(path+".tier", "owner.unreachable", "%s is of tier %d, and neither its groups nor its owners have a contact", service.GetName(), tier)
		}
		c.known(path+".dependencies", "service", service.GetDependencies(), c.hasService)
		if j := slices.Index(service.GetDependencies(), service.GetName()); j >= 0 {
			c.report(fmt.Sprintf("%s.dependencies[%d]", path, j), "service.self", "%s depends on itself", service.GetName())
		}
		c.unique(path+".checks", "name", names(service.GetChecks(), (*releasev1.Check).GetName))
		for j, check := range service.GetChecks() {
			for _, f := range criterion.Faults(check) {
				c.report(fmt.Sprintf("%s.checks[%d].%s", path, j, f.Field), f.Rule, "%s", f.Message)
			}
			if p := check.GetSignOff(); p != nil {
				c.known(fmt.Sprintf("%s.checks[%d].sign_off.groups", path, j), "group", p.GetGroups(), c.hasGroup)
			}
		}
		c.requirements(path+".requirements", service)
	}
}

// owner checks a person who owns something by name.
func (c *checker) owner(field, id string) {
	c.person(field, id)
	if c.index.Person(id).GetMachine() {
		c.report(field, "person.machine", "%s is a machine; a person has to answer for a release", id)
	}
}

// requirements checks which versions a service needs of those that it depends on.
func (c *checker) requirements(path string, service *policyv1.Service) {
	c.unique(path, "service", names(service.GetRequirements(), (*policyv1.Requirement).GetService))
	for i, r := range service.GetRequirements() {
		field := fmt.Sprintf("%s[%d]", path, i)
		if name := r.GetService(); name != "" && !slices.Contains(service.GetDependencies(), name) {
			c.report(field+".service", "dependency.unknown", "%s does not depend on %q", service.GetName(), name)
		}
		if _, err := Takes(r.GetVersions(), "0.0.0"); err != nil && r.GetVersions() != "" {
			c.report(field+".versions", "versions.range", "%v", err)
		}
	}
}

func (c *checker) targets() {
	targets := c.document.GetTargets()
	c.unique("targets", "id", names(targets, (*policyv1.Target).GetId))
	for i, target := range targets {
		path := fmt.Sprintf("targets[%d]", i)
		if environment := target.GetEnvironment(); environment != "" && !c.hasEnvironment(environment) {
			c.report(path+".environment", "environment.unknown", "there is no environment %q", environment)
		}
		c.known(path+".services", "service", target.GetServices(), c.hasService)
		enums(c, path+".kinds", target.GetKinds(), releasev1.ArtifactKind_name)
		c.words(path+".customers", target.GetCustomers())
		c.known(path+".dependencies", "target", target.GetDependencies(), c.hasTarget)
		for j, id := range target.GetDependencies() {
			if way := c.leads(id, target.GetId(), map[string]bool{}); way != nil {
				c.report(fmt.Sprintf("%s.dependencies[%d]", path, j), "target.cycle", "%s depends on itself: %s, and neither goes back first",
					target.GetId(), strings.Join(append([]string{target.GetId()}, way...), " on "))
			}
		}
	}
}

// leads is a way along which a target depends on another one, from the one to the other; nil
// where there is none. Of two targets in a circle no order is right, whereas services in one
// only are not released at the same time.
func (c *checker) leads(from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	if seen[from] {
		return nil
	}
	seen[from] = true
	for _, next := range c.index.Target(from).GetDependencies() {
		if way := c.leads(next, to, seen); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}

func (c *checker) freezes() {
	freezes := c.document.GetFreezes()
	c.unique("freezes", "name", names(freezes, (*policyv1.Freeze).GetName))
	for i, window := range freezes {
		path := fmt.Sprintf("freezes[%d]", i)
		if window.GetSetBy() != "" {
			c.person(path+".set_by", window.GetSetBy())
		}
		c.known(path+".environments", "environment", window.GetEnvironments(), c.hasEnvironment)
		c.known(path+".services", "service", window.GetServices(), c.hasService)
		c.known(path+".targets", "target", window.GetTargets(), c.hasTarget)
		c.known(path+".customers", "customer", window.GetCustomers(), func(name string) bool {
			return slices.ContainsFunc(c.document.GetTargets(), func(target *policyv1.Target) bool {
				return slices.Contains(target.GetCustomers(), name)
			})
		})
		c.known(path+".override_groups", "group", window.GetOverrideGroups(), c.hasGroup)
		c.unique(path+".override_people", "", window.GetOverridePeople())
		for j, person := range window.GetOverridePeople() {
			c.person(fmt.Sprintf("%s.override_people[%d]", path, j), person)
			if c.index.Person(person).GetMachine() {
				c.report(fmt.Sprintf("%s.override_people[%d]", path, j), "person.machine", "%s is a machine, and machines make no exceptions", person)
			}
		}
		for j, group := range window.GetOverrideGroups() {
			c.approvers(fmt.Sprintf("%s.override_groups[%d]", path, j), group, 1)
		}
		c.when(path, window)
	}
}

// when checks that the time of a freeze can be understood, by understanding it.
func (c *checker) when(path string, window *policyv1.Freeze) {
	zone := func(field, name string) {
		if _, err := freeze.Zone(name); err != nil && name != "" {
			c.report(field, "time_zone.unknown", "%q is no time zone of the IANA database, such as Europe/Berlin", name)
		}
	}
	switch {
	case window.GetOnce() != nil:
		c.moment(path+".once.start", window.GetOnce().GetStart())
		c.moment(path+".once.end", window.GetOnce().GetEnd())
	case window.GetWeekly() != nil:
		weekly := window.GetWeekly()
		if weekly.GetFromDay() == weekly.GetToDay() && weekly.GetFromTime() == weekly.GetToTime() {
			c.report(path+".weekly", "freeze.empty", "begins and ends at the same time of the week: it would never hold")
		}
		zone(path+".weekly.time_zone", weekly.GetTimeZone())
	case window.GetRecurring() != nil:
		zone(path+".recurring.time_zone", window.GetRecurring().GetTimeZone())
		c.understood(path+".recurring", window)
	case window.GetCalendar() != nil:
		zone(path+".calendar.time_zone", window.GetCalendar().GetTimeZone())
		c.understood(path+".calendar.icalendar", window)
	}
}

// understood evaluates a freeze once, at a moment of which nothing depends.
func (c *checker) understood(field string, window *policyv1.Freeze) {
	if err := freeze.Understand(window); errors.Is(err, freeze.ErrWindow) {
		c.report(field, "freeze.unclear", "%s", strings.TrimPrefix(err.Error(), freeze.ErrWindow.Error()+": "))
	}
}

// moment reports a timestamp out of the range that a calendar can mean.
func (c *checker) moment(field string, moment *timestamppb.Timestamp) {
	if moment == nil {
		return
	}
	if year := moment.AsTime().Year(); moment.CheckValid() != nil || year < 2000 || year > 2200 {
		c.report(field, "time.range", "must lie between the years 2000 and 2200")
	}
}

// words reports free names that are empty, blank at an end, or given twice.
func (c *checker) words(path string, words []string) {
	c.unique(path, "", words)
	for i, word := range words {
		if word == "" || strings.TrimSpace(word) != word {
			c.report(fmt.Sprintf("%s[%d]", path, i), "word", "%q is empty or begins or ends with a space", word)
		}
	}
}
