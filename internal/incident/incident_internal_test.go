package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func state(id, service, target string, changes ...func(*procedure.State)) procedure.State {
	s := procedure.State{Release: id, Phase: procedure.PhaseEscalated, Request: &releasev1.Request{
		Environment: "production", Service: service, Plan: &releasev1.Plan{Waves: []*releasev1.Wave{{Targets: []string{target}}}},
	}}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// TestWhichIncidentsHold tries each scope, and what an incident of another release is to it.
func TestWhichIncidentsHold(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{
		Services: []*policyv1.Service{{Name: "shop", Dependencies: []string{"billing"}}, {Name: "billing"}, {Name: "search"}},
		Targets:  []*policyv1.Target{{Id: "eu1", Services: []string{"shop", "search"}}},
	})
	const all, service, target, dependency = policyv1.Incidents_SCOPE_UNSPECIFIED, policyv1.Incidents_SCOPE_SERVICE, policyv1.Incidents_SCOPE_TARGET, policyv1.Incidents_SCOPE_DEPENDENCY
	hurt := func(by string) func(*procedure.State) {
		return func(s *procedure.State) {
			s.Escalations = []procedure.Escalation{{Cause: releasev1.Cause_CAUSE_ROLLBACK_FAILED, Raised: time.Unix(0, 0), AcknowledgedBy: by}}
		}
	}
	waits := func(s *procedure.State) { s.Phase = procedure.PhaseHeld }
	claimed := func(s *procedure.State) { s.Touched = []string{"eu1"} }
	begun := func(s *procedure.State) { s.Touched, s.Begun = []string{"eu1"}, []string{"eu1"} }
	for _, test := range []struct {
		name      string
		scope     policyv1.Incidents_Scope
		me, other procedure.State
		want      string
	}{
		{"of the service", all, state("a", "shop", "eu1"), state("b", "shop", "us1", hurt("")), "of the same service"},
		{"of the service, which does not count", target, state("a", "shop", "eu1"), state("b", "shop", "us1", hurt("")), ""},
		{"of a dependency", dependency, state("a", "shop", "eu1"), state("b", "billing", "bill1", hurt("")), "on which shop depends"},
		{"of what depends on it", all, state("a", "billing", "bill1"), state("b", "shop", "eu1", hurt("")), ""},
		{"on the target", target, state("a", "shop", "eu1"), state("b", "search", "eu1", hurt("")), "which is on target eu1"},
		{"on another target", all, state("a", "shop", "eu1"), state("b", "search", "us1", hurt("")), ""},
		{"its own", all, state("a", "shop", "eu1"), state("a", "shop", "eu1", hurt("")), ""},
		{"none", all, state("a", "shop", "eu1"), state("b", "shop", "us1"), ""},
		{"taken on", service, state("a", "shop", "eu1"), state("b", "shop", "us1", hurt("eve")), "eve has taken it on, and the release is not at its end"},
		{"of what waits itself, before the start", all, state("a", "shop", "eu1"), state("b", "shop", "us1", hurt(""), waits), "nobody has taken it on"},
		{"of what waits itself, between claim and effect", all, state("a", "shop", "eu1", claimed), state("b", "shop", "us1", hurt(""), waits), "nobody has taken it on"},
		{"of what waits itself, between waves", all, state("a", "shop", "eu1", begun), state("b", "shop", "us1", hurt(""), waits), ""},
	} {
		rule := &policyv1.Incidents{}
		if test.scope != all {
			rule.Scopes = []policyv1.Incidents_Scope{test.scope}
		}
		if why := concerns(index, rule, test.me, test.other); (why == "") != (test.want == "") || !strings.Contains(why, test.want) {
			t.Errorf("%s: %q", test.name, why)
		}
	}
	taken := &policyv1.Incidents{Until: policyv1.Incidents_UNTIL_TAKEN_ON}
	if why := concerns(index, taken, state("a", "shop", "eu1"), state("b", "shop", "us1", hurt("eve"))); why != "" {
		t.Errorf("taken on, which is all that is asked: %q", why)
	}
}

// TestWhatHasBegunIsLookedAtNoMore between the claim of a later wave and its effect: there is
// nothing to read from, and nothing is read.
func TestWhatHasBegunIsLookedAtNoMore(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{Services: []*policyv1.Service{{Name: "shop"}}, Incidents: &policyv1.Incidents{}})
	s := state("a", "shop", "eu1", func(s *procedure.State) { s.Phase, s.Begun = procedure.PhaseExecuting, []string{"eu1"} })
	if found, err := Find(t.Context(), nil, s, []*policy.Index{index}); err != nil || found != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestOfVeryManyIncidentsTheFirstAreNamed(t *testing.T) {
	got := bounded(slices.Repeat([]Found{{"a", "has an open incident"}}, MaxFound))
	if len(got) != MaxFound || strings.Contains(got[MaxFound-1].Message, "more") {
		t.Errorf("%v", got)
	}
	if got = bounded(slices.Repeat([]Found{{"a", "has an open incident"}}, 300)); len(got) != MaxFound || !strings.HasSuffix(got[MaxFound-1].Message, ", and 268 more") {
		t.Errorf("%v", got)
	}
}
