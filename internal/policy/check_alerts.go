package policy

import (
	"fmt"

	"github.com/blackdice/shipwarden/internal/pattern"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// maxAlerts bounds the rules about alerts that one release can meet: one event holds what
// all of them say.
const maxAlerts = 8

// alerts checks the rules about alerts, and compiles what they match by, so that a slip is
// found before a release depends on it.
func (c *checker) alerts() {
	rules := c.document.GetAlerts()
	c.unique("alerts", "name", names(rules, (*policyv1.AlertRule).GetName))
	for i, rule := range rules {
		path := fmt.Sprintf("alerts[%d]", i)
		c.known(path+".environments", "environment", rule.GetEnvironments(), c.hasEnvironment)
		c.known(path+".services", "service", rule.GetServices(), c.hasService)
		for j, m := range rule.GetMatchers() {
			// By itself: what is no pattern may be one between the anchors, and match anything.
			if _, err := pattern.Compile(m.GetMatches()); err != nil {
				c.report(fmt.Sprintf("%s.matchers[%d].matches", path, j), "alert.pattern", "%v", err)
			}
		}
	}
	for i, environment := range c.document.GetEnvironments() {
		for _, service := range c.document.GetServices() {
			met := 0
			for _, rule := range rules {
				if emptyOrHas(rule.GetEnvironments(), environment.GetName()) && emptyOrHas(rule.GetServices(), service.GetName()) {
					met++
				}
			}
			if met > maxAlerts {
				c.report(fmt.Sprintf("environments[%d].name", i), "alerts.many", "%d rules about alerts concern releases of %s to %s, and one event holds %d",
					met, service.GetName(), environment.GetName(), maxAlerts)
			}
		}
	}
}
