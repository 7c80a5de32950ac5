package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWithoutAWayBackOneMoreGroupAgrees: by the document, and by what was tried (PD-3.5).
func TestWithoutAWayBackOneMoreGroupAgrees(t *testing.T) {
	proved := &releasev1.RollbackProof{Possible: true, Obtainable: true, Demanded: true}
	gone := &releasev1.RollbackProof{Possible: true, Found: "artifact not found", Demanded: true}
	first := &releasev1.RollbackProof{First: true, Demanded: true}
	const (
		as   = policyv1.RollbackReadiness_FIRST_RELEASE_UNSPECIFIED
		plan = policyv1.RollbackReadiness_FIRST_RELEASE_PLAN
		free = policyv1.RollbackReadiness_FIRST_RELEASE_FREE
	)
	for _, test := range []struct {
		name    string
		proofs  []*releasev1.RollbackProof
		first   policyv1.RollbackReadiness_FirstRelease
		data    *releasev1.Risk
		trigger releasev1.Trigger
		want    policy.WayBack
		why     string
	}{
		{"shown", []*releasev1.RollbackProof{proved}, as, nil, 0, policy.WayBack{}, ""},
		{"gone", []*releasev1.RollbackProof{proved, gone}, free, nil, 0, policy.WayBack{Plan: true, Approvals: true}, "cannot be had: artifact not found"},
		{"the first release, as any", []*releasev1.RollbackProof{first}, as, nil, 0, policy.WayBack{Plan: true, Approvals: true}, "nothing was there"},
		{"the first release, with a plan", []*releasev1.RollbackProof{first, proved}, plan, nil, 0, policy.WayBack{Plan: true}, "nothing was there"},
		{"the first release, free", []*releasev1.RollbackProof{first, proved}, free, nil, 0, policy.WayBack{}, "nothing was there"},
		{"the first on one, and gone on another", []*releasev1.RollbackProof{first, gone}, free, nil, 0, policy.WayBack{Plan: true, Approvals: true}, "nothing was there"},
		{"the first, and data for good", []*releasev1.RollbackProof{first}, free, &releasev1.Risk{Data: releasev1.Risk_DATA_IRREVERSIBLE}, 0, policy.WayBack{Plan: true, Approvals: true}, "for good"},
		{"data back by a plan", []*releasev1.RollbackProof{proved}, as, &releasev1.Risk{Data: releasev1.Risk_DATA_REVERSIBLE, DataPlan: "migration 42 down"}, 0, policy.WayBack{}, ""},
		{"data back by what nobody names", []*releasev1.RollbackProof{proved}, as, &releasev1.Risk{Data: releasev1.Risk_DATA_REVERSIBLE}, 0, policy.WayBack{Plan: true, Approvals: true}, "risk.data_plan"},
		{"nobody says", []*releasev1.RollbackProof{proved}, as, &releasev1.Risk{Data: releasev1.Risk_DATA_NOT_STATED}, 0, policy.WayBack{Plan: true, Approvals: true}, "nobody says"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := procedure.State{Request: &releasev1.Request{
				Environment: "production", Trigger: test.trigger, Risk: test.data, Plan: &releasev1.Plan{},
				RollbackPlan: &releasev1.RollbackPlan{Strategy: releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION},
			}}
			for i, p := range test.proofs {
				id := string(rune('a' + i))
				s.Request.Plan.Waves = append(s.Request.Plan.Waves, &releasev1.Wave{Targets: []string{id}})
				s.Previews = append(s.Previews, &releasev1.TargetPreview{Target: id, Rollback: p, RollbackReady: !p.GetFirst(), RollbackReason: "nothing was there"})
			}
			document := &policyv1.Procedure{RollbackReadiness: &policyv1.RollbackReadiness{FirstRelease: test.first}}
			got := policy.WayBackOf(document, s)
			if !strings.Contains(got.Why, test.why) || (got.Why == "") != (test.why == "") {
				t.Errorf("why: %q", got.Why)
			}
			if got.Why = ""; got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// TestTheExtraGroupJoinsTheQuorum: where the document demands the proof, and nowhere else.
func TestTheExtraGroupJoinsTheQuorum(t *testing.T) {
	document := &policyv1.Procedure{
		Environments:        []*policyv1.Environment{{Name: "production", Approvals: []*policyv1.Approvals{{Group: "managers", Count: 1}}}, {Name: "staging"}},
		NoRollbackApprovals: []*policyv1.Approvals{{Group: "managers", Count: 2}},
		RollbackReadiness: &policyv1.RollbackReadiness{
			Environments: []string{"production"}, Approvals: []*policyv1.Approvals{{Group: "architects", Count: 1}},
		},
	}
	managers, architects := &releasev1.QuorumRule{Group: "managers", Count: 2}, &releasev1.QuorumRule{Group: "architects", Count: 1}
	for _, test := range []struct {
		request *releasev1.Request
		want    []*releasev1.QuorumRule
	}{
		{&releasev1.Request{Environment: "production"}, []*releasev1.QuorumRule{architects, managers}},
		{&releasev1.Request{Environment: "staging"}, []*releasev1.QuorumRule{managers}},
		{&releasev1.Request{Environment: "production", Trigger: releasev1.Trigger_TRIGGER_ROLLBACK}, []*releasev1.QuorumRule{managers}},
	} {
		if diff := cmp.Diff(test.want, policy.Quorum(document, test.request, true, false), protocmp.Transform()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.request, diff)
		}
	}
}

// TestRollbackReadinessOfADocument: slips are found before a release depends on them.
func TestRollbackReadinessOfADocument(t *testing.T) {
	document := func(change func(*policyv1.RollbackReadiness)) *policyv1.Procedure {
		r := &policyv1.RollbackReadiness{Approvals: []*policyv1.Approvals{{Group: "architects", Count: 1}}}
		change(r)
		return &policyv1.Procedure{
			People:            []*policyv1.Person{{Id: "anna"}, {Id: "ben"}},
			Groups:            []*policyv1.Group{{Name: "managers", Members: []string{"anna"}}, {Name: "architects", Members: []string{"ben"}}},
			Environments:      []*policyv1.Environment{{Name: "production", Approvals: []*policyv1.Approvals{{Group: "managers", Count: 1}}}},
			RollbackReadiness: r,
		}
	}
	for _, test := range []struct {
		name   string
		change func(*policyv1.RollbackReadiness)
		field  string
	}{
		{"in order", func(*policyv1.RollbackReadiness) {}, ""},
		{"unknown environment", func(r *policyv1.RollbackReadiness) { r.Environments = []string{"moon"} }, "rollback_readiness.environments[0]"},
		{"unknown group", func(r *policyv1.RollbackReadiness) { r.Approvals[0].Group = "nobody" }, "rollback_readiness.approvals[0].group"},
		{"more than there are", func(r *policyv1.RollbackReadiness) { r.Approvals[0].Count = 2 }, "rollback_readiness.approvals[0].group"},
		{"a group that is asked anyhow", func(r *policyv1.RollbackReadiness) { r.Approvals[0].Group = "managers" }, "rollback_readiness.approvals"},
	} {
		found := ""
		for _, v := range policy.Check(document(test.change)) {
			if strings.HasPrefix(v.Field, "rollback_readiness") {
				found += v.Field + " "
			}
		}
		if strings.TrimSpace(found) != test.field {
			t.Errorf("%s: found %q, want %q", test.name, found, test.field)
		}
	}
	was := document(func(*policyv1.RollbackReadiness) {})
	for _, change := range []func(*policyv1.Procedure){
		func(p *policyv1.Procedure) { p.RollbackReadiness = nil },
		func(p *policyv1.Procedure) { p.RollbackReadiness.Environments = []string{"production"} },
		func(p *policyv1.Procedure) { p.RollbackReadiness.Approvals[0].Group = "managers" },
		func(p *policyv1.Procedure) {
			p.RollbackReadiness.FirstRelease = policyv1.RollbackReadiness_FIRST_RELEASE_FREE
		},
	} {
		now := document(func(*policyv1.RollbackReadiness) {})
		change(now)
		if len(policy.Loosened(was, now)) != 1 {
			t.Errorf("%v: %q", now.GetRollbackReadiness(), policy.Loosened(was, now))
		}
	}
}
