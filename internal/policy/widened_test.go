package policy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Each case changes the example; want is one of the rights that the person gains, or "".
func TestWhoseRightsAreWidened(t *testing.T) {
	for _, test := range []struct {
		name, person string
		change       func(*policyv1.Procedure)
		want         string
	}{
		{"nothing", "alice", func(*policyv1.Procedure) {}, ""},
		{"a group", "alice", func(d *policyv1.Procedure) { d.Groups[1].Members = append(d.Groups[1].Members, "alice") }, "approve releases to production for release-managers"},
		{"what a group may", "frank", func(d *policyv1.Procedure) { d.OperatorsGroup = "security" }, "abort, retry, roll back and accept releases"},
		{"emergencies", "frank", func(d *policyv1.Procedure) { d.Emergency.Group = "security" }, "authorize emergencies alone"},
		{"the board", "erin", func(d *policyv1.Procedure) { d.ChangeControl.Approvals.Group = "sre" }, "approve changes of the procedure document"},
		{"exceptions of a freeze", "frank", func(d *policyv1.Procedure) { d.Freezes[0].OverridePeople = []string{"frank"} }, "override the freeze weekend"},
		{"proposing", "erin", func(d *policyv1.Procedure) {
			d.Groups[2].Members, d.ChangeControl.ProposerGroups = []string{"dave"}, []string{"security"}
		}, ""},
		{"a name of a certificate", "alice", func(d *policyv1.Procedure) { d.People[0].Aliases = append(d.People[0].Aliases, "Root@Shop.example") }, "be known as ROOT@SHOP.EXAMPLE"},
		{"the same name written otherwise", "alice", func(d *policyv1.Procedure) { d.People[0].Aliases = []string{"ALICE@shop.example"} }, ""},
		{"a machine that becomes a person", "ci-bot", func(d *policyv1.Procedure) { d.People[6].Machine = false }, "decide as a person"},
		{"somebody new", "gus", func(d *policyv1.Procedure) { d.People = append(d.People, &policyv1.Person{Id: "gus", Name: "Gus"}) }, "decide as a person"},
		{"somebody who comes back", "bob", func(d *policyv1.Procedure) {}, ""},
		{"a service", "frank", func(d *policyv1.Procedure) { d.Services[0].OwnerGroups = append(d.Services[0].OwnerGroups, "security") }, "own releases of shop"},
	} {
		before := example(t)
		after := proto.CloneOf(before)
		test.change(after)
		got := policy.Widened(policy.NewIndex(before), policy.NewIndex(after))[test.person]
		if test.want == "" && len(got) > 0 || test.want != "" && !slices.Contains(got, test.want) {
			t.Errorf("%s: %s may %q, want %q", test.name, test.person, got, test.want)
		}
	}
}

func TestWhatIsLoosened(t *testing.T) {
	before := example(t)
	before.Environments[0].RequireSignedRequests, before.Environments[0].RequireSignedApprovals = true, true
	after := proto.CloneOf(before)
	after.Environments[0].Approvals = after.GetEnvironments()[0].GetApprovals()[:1]
	after.Environments[0].RequireSignedApprovals = false
	after.Environments[0].RequireNotice, after.Environments[0].RequireSignedRequests = false, false
	after.HighRiskAreas = after.GetHighRiskAreas()[1:]
	after.NoRollbackApprovals[0].Count = 1
	after.Gates[0].Bypassable, after.Gates[0].MinReviewers, after.Gates[0].Rules = true, 0, nil
	after.Gates = slices.Delete(after.GetGates(), 2, 3)
	before.Freezes[0].Bypassable = false
	after.Freezes = after.GetFreezes()[:1]
	after.Freezes[0].Bypassable, after.Freezes[0].Services = true, []string{"shop"}
	after.People[0].SigningKeys = append(after.People[0].SigningKeys, &policyv1.PersonKey{Ssh: "ssh-ed25519 AAAAAAAAAAAAAAAAAAAA"})
	after.People[0].SigningIdentities = []*policyv1.PersonIdentity{{Issuer: "https://id.evil.example", Subject: "alice"}}
	after.Keys[0].Ed25519 = slices.Repeat([]byte{7, 9}, 16)
	want := []string{
		"a release to production needs 0 approvals of sre instead of 1",
		"requests for production need no signature",
		"approvals for production need no signature",
		"nobody has to be told before a release to production",
		"a release without a way back needs 1 approvals of release-managers instead of 2",
		"the area authentication is of high risk no more",
		"an emergency may bypass the gate code-review",
		"the gate code-review needs 0 reviewers instead of 1",
		"the rule security-review of the gate code-review is gone",
		"the gate provenance is gone",
		"the freeze weekend is at another time or place",
		"an emergency may bypass the freeze weekend",
		"the freeze month-end is gone",
		"approvals of alice may be signed with …AAAAAAAAAAAAAAAA",
		`approvals of alice may be signed by "alice" of "https://id.evil.example"`,
		"the key review-system is trusted",
	}
	if diff := cmp.Diff(want, policy.Loosened(before, after)); diff != "" {
		t.Errorf("loosened (-want +got):\n%s", diff)
	}
	if got := policy.Loosened(before, before); len(got) > 0 {
		t.Errorf("nothing was changed, and it says %q", got)
	}
}
