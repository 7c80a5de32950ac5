package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signers gives people of the example a key of their own each.
func signers(t *testing.T, document *policyv1.Procedure, ids ...string) {
	t.Helper()
	for _, id := range ids {
		p := policy.NewIndex(document).Person(id)
		p.SigningKeys = append(p.SigningKeys, &policyv1.PersonKey{Ssh: sshsigtest.Public(sshsigtest.Key(t, id))})
	}
}

func TestSigningKeysThatProveNothingAreRefused(t *testing.T) {
	key := func(d *policyv1.Procedure, id string) *policyv1.PersonKey {
		return policy.NewIndex(d).Person(id).GetSigningKeys()[0]
	}
	for name, c := range map[string]struct {
		change func(d *policyv1.Procedure)
		want   []string
	}{
		"enough people have one": {func(*policyv1.Procedure) {}, nil},
		"two people have one key": {
			func(d *policyv1.Procedure) { key(d, "dave").Ssh = key(d, "carol").GetSsh() },
			[]string{"people[3].signing_keys[0].ssh: duplicate"},
		},
		"no key": {func(d *policyv1.Procedure) { key(d, "carol").Ssh = "ssh-dss AAAA" }, []string{"people[2].signing_keys[0].ssh: key.unusable"}},
		"a machine": {
			func(d *policyv1.Procedure) {
				d.People[6].SigningKeys = []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "bot"))}}
			},
			[]string{"people[6].signing_keys[0]: person.machine"},
		},
		"fewer than are to sign": {
			func(d *policyv1.Procedure) {
				d.Environments[0].RequireSignedApprovals = true
				key(d, "frank").Revoked = true
				key(d, "dave").Revoked = true
			},
			[]string{"environments[0].require_signed_approvals: group.unsigned"}, // two release managers, where there is no way back
		},
		"fewer than one rule demands": {
			func(d *policyv1.Procedure) {
				d.Environments[0].Approvals[0].Signed = true
				key(d, "carol").Revoked, key(d, "dave").Revoked = true, true
			},
			[]string{"environments[0].approvals[0].signed: group.unsigned"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := example(t)
			for _, p := range d.GetPeople() {
				p.SigningKeys = nil
			}
			signers(t, d, "carol", "dave", "erin", "frank")
			c.change(d)
			var got []string
			for _, v := range policy.Check(d) {
				got = append(got, v.Field+": "+v.Rule)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatIsNeededIsSigned says the same to step 3, which asks for approvals, and to the
// executor, which asks whether as many were asked for.
func TestWhatIsNeededIsSigned(t *testing.T) {
	d := &policyv1.Procedure{
		Environments: []*policyv1.Environment{
			{Name: "production", Approvals: []*policyv1.Approvals{{Group: "sre", Count: 1}, {Group: "managers", Count: 1, Signed: true}}},
			{Name: "vault", RequireSignedApprovals: true, Approvals: []*policyv1.Approvals{{Group: "sre", Count: 1}}},
		},
		NoRollbackApprovals: []*policyv1.Approvals{{Group: "managers", Count: 2}},
		HighRiskApprovals:   []*policyv1.Approvals{{Group: "security", Count: 1}}, HighRiskAreas: []string{"secrets"},
		Emergency: &policyv1.EmergencyLane{Group: "commanders"},
	}
	state := func(environment string, changes ...func(*releasev1.Request)) procedure.State {
		r := proceduretest.Request(changes...)
		r.Environment = environment
		return procedure.State{Request: r}
	}
	rule := func(group string, count uint32, signed bool) *releasev1.QuorumRule {
		return &releasev1.QuorumRule{Group: group, Count: count, Signed: signed}
	}
	risky := func(r *releasev1.Request) { r.Risk.Areas = []string{"secrets"} }
	for name, c := range map[string]struct {
		state     procedure.State
		noWayBack bool
		want      []*releasev1.QuorumRule
	}{
		"one rule":                          {state("production"), false, []*releasev1.QuorumRule{rule("managers", 1, true), rule("sre", 1, false)}},
		"two rules of a group, one to sign": {state("production"), true, []*releasev1.QuorumRule{rule("managers", 2, true), rule("sre", 1, false)}},
		"emergency":                         {state("production", proceduretest.Emergency), true, []*releasev1.QuorumRule{rule("commanders", 1, false)}},
		"everything of an environment":      {state("vault", risky), true, []*releasev1.QuorumRule{rule("managers", 2, true), rule("security", 1, true), rule("sre", 1, true)}},
		"emergency of such an environment":  {state("vault", proceduretest.Emergency), false, []*releasev1.QuorumRule{rule("commanders", 1, true)}},
	} {
		if !c.noWayBack {
			for _, id := range procedure.Targets(c.state.Request) {
				c.state.Previews = append(c.state.Previews, &releasev1.TargetPreview{Target: id, RollbackReady: true})
			}
		}
		if diff := cmp.Diff(c.want, policy.Needed(d, c.state, proceduretest.Start, false), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTheLineOfAKeyThatIsNoneIsNamed(t *testing.T) {
	text := strings.Replace(string(readExample(t)), "    name: Carol Castillo\n", "    name: Carol Castillo\n    signing_keys:\n      - ssh: ssh-rsa AAAA\n", 1)
	if _, err := policy.Parse([]byte(text), "procedure.yaml"); err == nil || !strings.Contains(err.Error(), "people[2].signing_keys[0].ssh") || !strings.Contains(err.Error(), "procedure.yaml:") {
		t.Errorf("%v", err)
	}
}
