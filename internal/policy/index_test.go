package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestPersonIsFoundByEveryName(t *testing.T) {
	index := policy.NewIndex(example(t))
	for _, name := range []string{"bob", "BOB", "bob@shop.example", "Bob@Shop.Example", "bbrandt", " bob "} {
		if got := index.Person(name).GetId(); got != "bob" {
			t.Errorf("%q is %q, want bob", name, got)
		}
	}
	for _, name := range []string{"", " ", "zoe", "bоb", "b ob"} { // the fourth with a Cyrillic letter
		if got := index.Person(name); got != nil {
			t.Errorf("%q is %v, want nobody", name, got)
		}
	}
}

func TestIdWinsOverSomebodyElsesAlias(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{People: []*policyv1.Person{
		{Id: "mallory", Aliases: []string{"alice"}}, {Id: "alice"},
	}})
	if got := index.Person("alice").GetId(); got != "alice" {
		t.Errorf("alice is %s", got)
	}
}

func TestGroups(t *testing.T) {
	index := policy.NewIndex(example(t))
	if diff := cmp.Diff([]string{"incident-commanders", "security", "sre"}, index.GroupsOf("ERIN@shop.example")); diff != "" {
		t.Errorf("groups of erin (-want +got):\n%s", diff)
	}
	if groups := index.GroupsOf("zoe"); len(groups) != 0 {
		t.Errorf("groups of nobody: %v", groups)
	}
	index = policy.NewIndex(&policyv1.Procedure{
		People: []*policyv1.Person{{Id: "a"}, {Id: "bot", Machine: true}, {Id: "gone", Inactive: true}, {Id: "b"}},
		Groups: []*policyv1.Group{{Name: "g", Members: []string{"b", "bot", "gone", "a", "nobody", "b"}}},
	})
	if diff := cmp.Diff([]string{"a", "b"}, index.People("g")); diff != "" {
		t.Errorf("people of g (-want +got):\n%s", diff)
	}
}

func TestThingsAreFoundByName(t *testing.T) {
	index := policy.NewIndex(example(t))
	if index.Environment("production") == nil || index.Service("shop") == nil || index.Target("shop-eu1") == nil ||
		index.Gate("tests") == nil || index.Key("ci-tests") == nil || index.Group("sre") == nil {
		t.Error("something is not found")
	}
	if index.Environment("x") != nil || index.Service("x") != nil || index.Target("x") != nil ||
		index.Gate("x") != nil || index.Key("x") != nil || index.Group("x") != nil {
		t.Error("something is found that is not there")
	}
}

func TestRequiredGates(t *testing.T) {
	const (
		file      = releasev1.ArtifactKind_ARTIFACT_KIND_FILE
		image     = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
		planned   = releasev1.Trigger_TRIGGER_PLANNED
		emergency = releasev1.Trigger_TRIGGER_EMERGENCY
	)
	index := policy.NewIndex(&policyv1.Procedure{Gates: []*policyv1.Gate{
		{Name: "always"},
		{Name: "production", Environments: []string{"production"}},
		{Name: "images", Kinds: []releasev1.ArtifactKind{image}},
		{Name: "planned", Triggers: []releasev1.Trigger{planned}},
		{Name: "security", Areas: []string{"secrets", "authentication"}},
		{Name: "narrow", Environments: []string{"production"}, Kinds: []releasev1.ArtifactKind{image}, Areas: []string{"secrets"}},
	}})
	for _, test := range []struct {
		name        string
		environment string
		kinds       []releasev1.ArtifactKind
		trigger     releasev1.Trigger
		areas       []string
		want        []string
	}{
		{"plain", "staging", []releasev1.ArtifactKind{file}, emergency, nil, []string{"always"}},
		{"in production", "production", []releasev1.ArtifactKind{file}, planned, []string{"logging"}, []string{"always", "production", "planned"}},
		{"one image among files", "staging", []releasev1.ArtifactKind{file, image}, emergency, nil, []string{"always", "images"}},
		{"one risky area", "staging", []releasev1.ArtifactKind{file}, emergency, []string{"logging", "secrets"}, []string{"always", "security"}},
		{"everything", "production", []releasev1.ArtifactKind{image}, planned, []string{"secrets"}, []string{"always", "production", "images", "planned", "security", "narrow"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, gate := range index.RequiredGates(test.environment, test.kinds, test.trigger, test.areas) {
				got = append(got, gate.GetName())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("gates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGatesForReadsTheRequest(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{Gates: []*policyv1.Gate{{
		Name: "g", Environments: []string{"e"}, Kinds: []releasev1.ArtifactKind{1}, Triggers: []releasev1.Trigger{2}, Areas: []string{"a"},
	}}})
	request := &releasev1.Request{
		Environment: "e", Trigger: 2, Risk: &releasev1.Risk{Areas: []string{"a"}},
		Artifacts: []*releasev1.Artifact{{Kind: 1}},
	}
	if got := index.GatesFor(request); len(got) != 1 {
		t.Errorf("gates %v", got)
	}
}

func TestQuorumTakesTheLargestNumberOfEachGroup(t *testing.T) {
	procedure := &policyv1.Procedure{
		Environments: []*policyv1.Environment{
			{Name: "production", Approvals: []*policyv1.Approvals{{Group: "sre", Count: 1}, {Group: "managers", Count: 2}}},
			{Name: "staging"},
		},
		NoRollbackApprovals: []*policyv1.Approvals{{Group: "sre", Count: 2}, {Group: "managers", Count: 1}},
		HighRiskApprovals:   []*policyv1.Approvals{{Group: "security", Count: 1}},
	}
	rule := func(group string, count uint32) *releasev1.QuorumRule {
		return &releasev1.QuorumRule{Group: group, Count: count}
	}
	for _, test := range []struct {
		name                 string
		environment          string
		noRollback, highRisk bool
		want                 []*releasev1.QuorumRule
	}{
		{"normal", "production", false, false, []*releasev1.QuorumRule{rule("managers", 2), rule("sre", 1)}},
		{"no way back", "production", true, false, []*releasev1.QuorumRule{rule("managers", 2), rule("sre", 2)}},
		{"high risk", "production", false, true, []*releasev1.QuorumRule{rule("managers", 2), rule("security", 1), rule("sre", 1)}},
		{"both, where nothing else is asked", "staging", true, true, []*releasev1.QuorumRule{rule("managers", 1), rule("security", 1), rule("sre", 2)}},
		{"nothing asked", "staging", false, false, []*releasev1.QuorumRule{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := policy.Quorum(procedure, &releasev1.Request{Environment: test.environment}, test.noRollback, test.highRisk)
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("quorum (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHighRiskAreas(t *testing.T) {
	request := &releasev1.Request{Risk: &releasev1.Risk{Areas: []string{"logging", "secrets", "authentication"}}}
	if diff := cmp.Diff([]string{"secrets", "authentication"}, policy.HighRiskAreas(example(t), request)); diff != "" {
		t.Errorf("areas (-want +got):\n%s", diff)
	}
}
