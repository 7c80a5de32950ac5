package intake

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// check returns everything in a request that does not fit the procedure document
// or itself, all of it at once (PD-0.3, PD-2.2). Steps 2 and 3 look at the world;
// this looks only at words. The request need not be in shape.
func check(x *policy.Index, r *releasev1.Request, now time.Time) []*releasev1.Violation {
	c := checker{x: x, r: r}
	c.catalogue()
	c.people()
	c.targets()
	c.names()
	if t := r.GetNotBefore(); t != nil && t.AsTime().Before(now.Add(-time.Minute)) {
		c.say("not_before", "time.past", "lies in the past; leave it out to start as soon as everything is done")
	}
	return c.found
}

type checker struct {
	x     *policy.Index
	r     *releasev1.Request
	found []*releasev1.Violation
}

func (c *checker) say(field, rule, format string, args ...any) {
	// One more than is told: more of them would only fill the memory.
	if len(c.found) <= maxViolations {
		c.found = append(c.found, violation(field, rule, fmt.Sprintf(format, args...)))
	}
}

// place checks that the request speaks of the service and environment of the
// subject it came on: the bus lets a requester publish there and nowhere else.
func place(subject string, r of) []*releasev1.Violation {
	parts := strings.Split(subject, ".")
	if len(parts) != 3 {
		return []*releasev1.Violation{violation("", "subject", "a request is published on request.<environment>.<service>, not on "+subject)}
	}
	var out []*releasev1.Violation
	if r.GetEnvironment() != parts[1] {
		out = append(out, violation("environment", "subject.mismatch", fmt.Sprintf("is %q, but the request came on %s", r.GetEnvironment(), subject)))
	}
	if r.GetService() != parts[2] {
		out = append(out, violation("service", "subject.mismatch", fmt.Sprintf("is %q, but the request came on %s", r.GetService(), subject)))
	}
	return out
}

func (c *checker) catalogue() {
	if c.x.Environment(c.r.GetEnvironment()) == nil {
		c.say("environment", "environment.unknown", "%q is no environment of the procedure", c.r.GetEnvironment())
	}
	if c.x.Service(c.r.GetService()) == nil {
		c.say("service", "service.unknown", "%q is not in the catalog", c.r.GetService())
	}
}

func (c *checker) people() {
	c.person("requester", c.r.GetRequester(), true)
	for i, a := range c.r.GetAuthors() {
		c.person(fmt.Sprintf("authors[%d]", i), a, true)
	}
	owner := c.r.GetOwner()
	if !c.person("owner", owner, false) {
		return
	}
	service := c.x.Service(c.r.GetService())
	if service == nil {
		return
	}
	if !c.x.Owns(owner, service.GetName()) {
		c.say("owner", "owner.foreign", "%s is in none of the groups that own %s: %s",
			owner, service.GetName(), strings.Join(slices.Concat(service.GetOwnerGroups(), service.GetOwners()), ", "))
	}
}

func (c *checker) person(field, id string, machine bool) bool {
	if id == "" {
		return false // said by shape
	}
	p := c.x.Person(id)
	switch {
	case p == nil || p.GetId() != id:
		c.say(field, "person.unknown", "%q is no person of the procedure", id)
	case p.GetInactive():
		c.say(field, "person.inactive", "%s has left", id)
	case p.GetMachine() && !machine:
		c.say(field, "person.machine", "%s is a machine; a person has to answer for a release", id)
	default:
		return true
	}
	return false
}

func (c *checker) targets() {
	seen := map[string]string{}
	for i, w := range c.r.GetPlan().GetWaves() {
		for j, id := range w.GetTargets() {
			field := fmt.Sprintf("plan.waves[%d].targets[%d]", i, j)
			if first, ok := seen[id]; ok {
				c.say(field, "target.twice", "%s is in %s already", id, first)
				continue
			}
			seen[id] = field
			c.target(field, id)
		}
	}
}

func (c *checker) target(field, id string) {
	t := c.x.Target(id)
	switch {
	case t == nil:
		c.say(field, "target.unknown", "%q is no target of the procedure", id)
		return
	case t.GetRetired():
		c.say(field, "target.retired", "%s is retired", id)
	case c.r.GetEnvironment() != "" && t.GetEnvironment() != c.r.GetEnvironment(): // without one it is said by shape
		c.say(field, "target.environment", "%s belongs to %s, not to %s", id, t.GetEnvironment(), c.r.GetEnvironment())
	}
	if c.r.GetService() != "" && !slices.Contains(t.GetServices(), c.r.GetService()) {
		c.say(field, "target.service", "%s does not take %s", id, c.r.GetService())
	}
	for i, a := range c.r.GetArtifacts() {
		if !slices.Contains(t.GetKinds(), a.GetKind()) {
			c.say(fmt.Sprintf("artifacts[%d].kind", i), "target.kind", "%s does not take artifacts of kind %s", id, a.GetKind())
		}
	}
}

// names checks that what is told apart by name has names that differ, and that every check
// can have a verdict.
func (c *checker) names() {
	artifacts := map[string]bool{}
	for i, a := range c.r.GetArtifacts() {
		if artifacts[a.GetName()] {
			c.say(fmt.Sprintf("artifacts[%d].name", i), "name.twice", "%q is there already", a.GetName())
		}
		artifacts[a.GetName()] = true
	}
	c.checks("validation.checks", c.r.GetValidation().GetChecks())
	c.checks("rollback_plan.checks", c.r.GetRollbackPlan().GetChecks())
	c.bake()
	c.controls()
}

// controls checks that what the environment demands of targets in Kubernetes is looked at there, on
// the way back as well (PD-6.1).
func (c *checker) controls() {
	required := c.x.Environment(c.r.GetEnvironment()).GetRequiredControls()
	if len(required) == 0 || !c.inKubernetes() {
		return
	}
	catalogue := c.x.Service(c.r.GetService()).GetChecks()
	for _, way := range []struct {
		field, words string
		back         bool
	}{{"validation.checks", "", false}, {"rollback_plan.checks", " on the way back", true}} {
		for _, control := range criterion.Missing(c.r, catalogue, required, way.back) {
			c.say(way.field, "controls.required", "%s demands the control %s of the whole namespace of targets in Kubernetes, and no check has it%s%s",
				c.r.GetEnvironment(), control, way.words, criterion.MissingWhy(c.r, catalogue, []string{control}, way.back))
		}
	}
}

// inKubernetes reports whether the release touches a target of a driver that places what is
// released in a namespace of a cluster. Of other drivers the validator knows it (step 2).
func (c *checker) inKubernetes() bool {
	for _, wave := range c.r.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			switch c.x.Target(id).GetDriver() {
			case "kubernetes", "helm":
				return true
			}
		}
	}
	return false
}

// bake checks that it gives every comparison of metrics the values that it needs, and every check
// of logs its samples, also of the checks that the procedure demands of the service, and that there is room for all of them. A longer
// one, which step 3 may choose where the request lets it, gives them more, and takes more room.
func (c *checker) bake() {
	v := c.r.GetValidation()
	longest := v.GetBake().AsDuration()
	for _, level := range c.x.Document().GetRiskScore().GetLevels() {
		if v.GetMayRaise() {
			longest = max(longest, level.GetBake().AsDuration())
		}
	}
	if crowded := criterion.Crowded(c.r, c.x.Service(c.r.GetService()).GetChecks(), longest); crowded != "" {
		c.say("plan.waves", "baseline.room", "%s", crowded)
	}
	for _, k := range slices.Concat(v.GetChecks(), c.r.GetRollbackPlan().GetChecks(), c.x.Service(c.r.GetService()).GetChecks()) {
		if short := criterion.ShortBake(k, v.GetBake().AsDuration()); short != "" {
			c.say("validation.bake", "baseline.bake", "%s", short)
		}
		if short := criterion.Unsettled(k, v.GetBake().AsDuration(), v.GetInterval().AsDuration()); short != "" {
			c.say("validation.bake", "logs.bake", "%s", short)
		}
		if short := criterion.Hurried(k, v.GetBake().AsDuration()); short != "" {
			c.say("validation.bake", "sign_off.bake", "%s", short)
		}
	}
}

func (c *checker) checks(field string, all []*releasev1.Check) {
	seen := map[string]bool{}
	catalogue := c.x.Service(c.r.GetService()).GetChecks()
	for i, k := range all {
		if seen[k.GetName()] {
			c.say(fmt.Sprintf("%s[%d].name", field, i), "name.twice", "%q is there already", k.GetName())
		}
		seen[k.GetName()] = true
		if of := slices.IndexFunc(catalogue, func(o *releasev1.Check) bool { return o.GetName() == k.GetName() }); of >= 0 {
			if lost := unmade(k, catalogue[of]); lost != "" {
				c.say(fmt.Sprintf("%s[%d].name", field, i), "name.catalog", "the document has a check %q of the service, which is made in place of this one and has no result %s: give it another name", k.GetName(), lost)
			}
		}
		for _, f := range criterion.Faults(k) {
			c.say(fmt.Sprintf("%s[%d].%s", field, i, f.Field), f.Rule, "%s", f.Message)
		}
		for j, g := range k.GetSignOff().GetGroups() {
			if c.x.Group(g) == nil {
				c.say(fmt.Sprintf("%s[%d].sign_off.groups[%d]", field, i, j), "group.unknown", "there is no group %q", g)
			}
		}
	}
}

// unmade is a result that the procedure waits for of a check and that the one in its place does not
// have; "" where there is none.
func unmade(asked, instead *releasev1.Check) string {
	made := procedure.ResultsOf(instead)
	if criterion.AsksPeople(asked) && !criterion.AsksPeople(instead) {
		return asked.GetName() + ", which a person answers"
	}
	for _, name := range procedure.ResultsOf(asked) {
		if !slices.Contains(made, name) {
			return name
		}
	}
	return ""
}
