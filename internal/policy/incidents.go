package policy

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// IncidentsHold reports whether a release is one that open incidents of others can hold; a
// rule that is not there holds none.
func IncidentsHold(rule *policyv1.Incidents, r *releasev1.Request) bool {
	return rule != nil && emptyOrHas(rule.GetEnvironments(), r.GetEnvironment()) && emptyOrHas(rule.GetServices(), r.GetService())
}

// IncidentScope reports whether incidents of releases count that are related like that.
func IncidentScope(rule *policyv1.Incidents, scope policyv1.Incidents_Scope) bool {
	return len(rule.GetScopes()) == 0 || slices.Contains(rule.GetScopes(), scope)
}

// incidents checks that what the rule names is there, and that what it calls an incident can
// be one: that a review is overdue says nothing of production.
func (c *checker) incidents() {
	rule := c.document.GetIncidents()
	c.known("incidents.environments", "environment", rule.GetEnvironments(), c.hasEnvironment)
	c.known("incidents.services", "service", rule.GetServices(), c.hasService)
	for i, cause := range rule.GetCauses() {
		if !slices.Contains(procedure.Damage, cause) {
			c.report(fmt.Sprintf("incidents.causes[%d]", i), "incidents.cause", "%s is no incident: people are called for it, and nothing is damaged", cause)
		}
	}
}
