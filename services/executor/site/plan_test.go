package site_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// Without it, equal secrets would be the same digest in all releases of a target.
func TestAPlanIsThatOfItsRelease(t *testing.T) {
	if plan := site.PlanBack(procedure.State{Release: "one"}, "eu1"); plan.Release != "one" || plan.Target != "eu1" {
		t.Errorf("got release %q, target %q", plan.Release, plan.Target)
	}
}
