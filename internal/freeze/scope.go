package freeze

import (
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ScopeOf is what a request touches: its service and environment, the targets of
// all of its waves, and every customer that one of them serves (PD-3.2).
func ScopeOf(document *policyv1.Procedure, r *releasev1.Request) Scope {
	scope := Scope{Environment: r.GetEnvironment(), Service: r.GetService()}
	for _, w := range r.GetPlan().GetWaves() {
		scope.Targets = append(scope.Targets, w.GetTargets()...)
	}
	for _, t := range document.GetTargets() {
		if !slices.Contains(scope.Targets, t.GetId()) {
			continue
		}
		for _, c := range t.GetCustomers() {
			if !slices.Contains(scope.Customers, c) {
				scope.Customers = append(scope.Customers, c)
			}
		}
	}
	return scope
}

// Bypassable splits freezes into those that hold a release and those that it goes
// around because it is an emergency (PD-A.5).
func Bypassable(all []*policyv1.Freeze, emergency bool) (hold, bypassed []*policyv1.Freeze) {
	for _, f := range all {
		if emergency && f.GetBypassable() {
			bypassed = append(bypassed, f)
			continue
		}
		hold = append(hold, f)
	}
	return hold, bypassed
}
