package freeze

import (
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ScopeOf is what a request touches: its service and environment, the targets of
// all of its waves, and every customer that one of them serves (PD-3.2).
func ScopeOf(document *policyv1.Procedure, r *releasev1.Request) Scope {
	scope := Scope{Environment: r.GetEnvironment(), Service: r.GetService(), Serves: map[string][]string{}}
	for _, w := range r.GetPlan().GetWaves() {
		scope.Targets = append(scope.Targets, w.GetTargets()...)
	}
	for _, t := range document.GetTargets() {
		if !slices.Contains(scope.Targets, t.GetId()) {
			continue
		}
		scope.Serves[t.GetId()] = t.GetCustomers()
		for _, c := range t.GetCustomers() {
			if !slices.Contains(scope.Customers, c) {
				scope.Customers = append(scope.Customers, c)
			}
		}
	}
	return scope
}

// subjects are the parts of a scope that windows which allow a start are looked at for:
// each customer of each target by itself. A window that is open for one customer opens
// nothing for another one.
func (s Scope) subjects() []Scope {
	var out []Scope
	add := func(target string, customers []string) {
		one := Scope{Environment: s.Environment, Service: s.Service}
		if target != "" {
			one.Targets = []string{target}
		}
		if len(customers) == 0 {
			out = append(out, one)
		}
		for _, c := range customers {
			one.Customers = []string{c}
			out = append(out, one)
		}
	}
	if len(s.Targets) == 0 {
		add("", s.Customers)
	}
	for _, target := range s.Targets {
		add(target, s.Serves[target])
	}
	return out
}
