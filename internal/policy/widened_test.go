package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
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
		{"what a group may", "frank", func(d *policyv1.Procedure) { d.OperatorsGroup = "security" }, "pause, resume, abort, retry, roll back and accept releases"},
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
		{"signing off", "frank", func(d *policyv1.Procedure) {
			d.Services[0].Checks = append(d.Services[0].Checks, &releasev1.Check{Name: "books", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
				Question: "Do they agree?", Groups: []string{"security"},
			}}})
		}, "sign off check books of releases of shop"},
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

// sre is that group of the example.
func sre(d *policyv1.Procedure) *policyv1.Group {
	return d.GetGroups()[slices.IndexFunc(d.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == "sre" })]
}

// onCall has one person take turns, and another take over for once.
func onCall(rota, cover string) *policyv1.OnCall {
	from := time.Date(2026, 12, 24, 8, 0, 0, 0, time.UTC)
	return &policyv1.OnCall{
		Rotas:     []*policyv1.Rota{{Name: "weekly", People: []string{rota}, Begin: "2026-01-05T09:00", Shift: durationpb.New(168 * time.Hour), TimeZone: "UTC"}},
		Overrides: []*policyv1.OnCallOverride{{Person: cover, From: timestamppb.New(from), Until: timestamppb.New(from.Add(72 * time.Hour)), Reason: "Christmas"}},
	}
}

// TestWhoIsOnCallGainsWhatTheirGroupGains: whoever is on call for a group by a rota, or takes
// over, may do more while they are when the group may, as far as that is for those on call.
func TestWhoIsOnCallGainsWhatTheirGroupGains(t *testing.T) {
	const rota, cover = "alice", "carol" // Neither is a member of sre; Carol takes over for once.
	for _, test := range []struct {
		name   string
		change func(*policyv1.Procedure)
		want   string
	}{
		{"nothing", func(*policyv1.Procedure) {}, ""},
		{"approving in an environment", func(d *policyv1.Procedure) {
			d.Environments[0].Approvals = append(d.Environments[0].Approvals, &policyv1.Approvals{Group: "sre", Count: 1})
		}, "approve releases to production for sre"},
		{"without a way back", func(d *policyv1.Procedure) {
			d.NoRollbackApprovals = []*policyv1.Approvals{{Group: "sre", Count: 1}}
		}, "approve releases without a way back for sre"},
		{"whose way back is not shown", func(d *policyv1.Procedure) {
			d.RollbackReadiness = &policyv1.RollbackReadiness{Approvals: []*policyv1.Approvals{{Group: "sre", Count: 1}}}
		}, "approve releases whose way back is not shown for sre"},
		{"of high risk", func(d *policyv1.Procedure) {
			d.HighRiskApprovals = []*policyv1.Approvals{{Group: "sre", Count: 1}}
		}, "approve releases of high risk for sre"},
		{"by a level", func(d *policyv1.Procedure) {
			d.RiskScore.Levels[1].Approvals = []*policyv1.Approvals{{Group: "sre", Count: 1}}
		}, "approve releases by their risk score for sre"},
		{"by a lane", func(d *policyv1.Procedure) {
			d.RiskScore.Levels[0].Lane = &policyv1.Lane{Name: "standard", Approvals: []*policyv1.Approvals{{Group: "sre", Count: 1}}}
		}, "approve standard changes of the lane standard for sre"},
		{"emergencies", func(d *policyv1.Procedure) { d.Emergency.Group = "sre" }, "authorize emergencies alone"},
		{"emergencies beyond the quota", func(d *policyv1.Procedure) {
			d.Emergency.Quota = &policyv1.EmergencyQuota{Over: []*policyv1.Approvals{{Group: "sre", Count: 1}}}
		}, "authorize emergencies beyond the quota for sre"},
		{"being called", func(d *policyv1.Procedure) { d.Escalation.Rungs[1].Group = "sre" }, "take escalations on"},
		{"handling a release", func(d *policyv1.Procedure) { d.OperatorsGroup = "sre" }, "pause, resume, abort, retry, roll back and accept releases"},
		{"a review of emergencies", func(d *policyv1.Procedure) { d.Emergency.ReviewGroup = "sre" }, ""},
		{"an exception of a freeze", func(d *policyv1.Procedure) { d.Freezes[0].OverrideGroups = append(d.Freezes[0].OverrideGroups, "sre") }, ""},
		{"an artifact out of quarantine", func(d *policyv1.Procedure) { d.Quarantine.Group = "sre" }, ""},
		{"owning a service", func(d *policyv1.Procedure) { d.Services[0].OwnerGroups = append(d.Services[0].OwnerGroups, "sre") }, ""},
		{"a review of code", func(d *policyv1.Procedure) { d.Gates[0].ReviewerGroup = "sre" }, ""},
		{"approving changes of the document", func(d *policyv1.Procedure) { d.ChangeControl.Approvals.Group = "sre" }, ""},
		{"proposing changes of the document", func(d *policyv1.Procedure) {
			d.ChangeControl.ProposerGroups = append(d.ChangeControl.ProposerGroups, "sre")
		}, ""},
	} {
		before := example(t)
		// The group is on call, and may nothing by it.
		before.Environments = []*policyv1.Environment{{Name: "production"}}
		before.NoRollbackApprovals, before.RollbackReadiness, before.HighRiskApprovals = nil, nil, nil
		before.RiskScore = &policyv1.RiskScore{Levels: []*policyv1.RiskLevel{{}, {From: 8}}}
		before.Emergency.Group, before.Emergency.ReviewGroup, before.Emergency.Quota = "security", "security", nil
		before.Escalation.Rungs = []*policyv1.Rung{{Group: "security"}, {Group: "security"}}
		before.OperatorsGroup, before.ChangeControl.ProposerGroups = "security", []string{"security"}
		before.Quarantine, before.Gates[0].ReviewerGroup = &policyv1.Quarantine{Group: "security"}, "security"
		sre(before).OnCall = onCall(rota, cover)
		after := proto.CloneOf(before)
		test.change(after)
		for _, person := range []string{rota, cover} {
			var want []string
			if test.want != "" {
				want = []string{test.want + " while on call for sre"}
			}
			got := policy.Widened(policy.NewIndex(before), policy.NewIndex(after))[person]
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s may %q, want %q", test.name, person, got, want)
			}
		}
		if got := policy.Widened(policy.NewIndex(before), policy.NewIndex(after))["dave"]; test.want != "" && !slices.Contains(got, test.want) {
			t.Errorf("%s: a member may %q, want %q", test.name, got, test.want)
		}
	}
}

// TestWhoMayAsAMemberGainsNothingOnCall: neither in the group's own rota, nor by leaving it for
// one; whoever is on call for the first time gains all of it.
func TestWhoMayAsAMemberGainsNothingOnCall(t *testing.T) {
	before := example(t)
	sre(before).OnCall = onCall("alice", "carol")
	rota := func(d *policyv1.Procedure) *policyv1.Rota { return sre(d).GetOnCall().GetRotas()[0] }
	both := proto.CloneOf(before)
	rota(both).People = append(rota(both).People, "erin")
	left := proto.CloneOf(both)
	sre(left).Members = []string{"dave"}
	for name, documents := range map[string][2]*policyv1.Procedure{
		"a member takes turns": {before, both}, "a member leaves for the rota": {before, left},
	} {
		got := policy.Widened(policy.NewIndex(documents[0]), policy.NewIndex(documents[1]))["erin"]
		if want := []string{"be on call for sre"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	back := policy.Widened(policy.NewIndex(left), policy.NewIndex(both))["erin"]
	if !slices.Contains(back, "approve releases to production for sre") || slices.ContainsFunc(back, func(r string) bool { return strings.Contains(r, "while on call") }) {
		t.Errorf("who comes back as a member: %q", back)
	}
	// A name is no condition: whatever it says, it is a name.
	named := proto.CloneOf(before)
	alice := named.GetPeople()[0]
	alice.Aliases = append(alice.Aliases, "alice@shop.example while on call for sre")
	if got := policy.Widened(policy.NewIndex(before), policy.NewIndex(named))["alice"]; len(got) != 1 {
		t.Errorf("another name: %q", got)
	}
	before.People = append(before.People, &policyv1.Person{Id: "grace"})
	fresh := proto.CloneOf(before)
	rota(fresh).People = []string{"alice", "grace"}
	got := policy.Widened(policy.NewIndex(before), policy.NewIndex(fresh))["grace"]
	if !slices.Contains(got, "be on call for sre") || !slices.Contains(got, "approve releases to production for sre while on call for sre") {
		t.Errorf("on call for the first time: %q", got)
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
