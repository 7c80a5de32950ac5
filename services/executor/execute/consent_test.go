package execute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// signedDocument demands signatures of everybody in production. Anna and Ben have keys.
func signedDocument(t *testing.T, annasKey string) string {
	t.Helper()
	public := func(name string) string { return strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, name))) }
	document := sitetest.Document("environments:\n" +
		"  - name: production\n    require_signed_approvals: true\n    approvals:\n" +
		"      - {group: release-managers, count: 1}\n      - {group: security, count: 1}\n")
	document = strings.Replace(document, "{id: anna, name: anna}", "{id: anna, name: anna, signing_keys: [{ssh: \""+public("anna")+"\""+annasKey+"}]}", 1)
	return strings.Replace(document, "{id: ben, name: ben}", "{id: ben, name: ben, signing_keys: [{ssh: \""+public("ben")+"\"}]}", 1)
}

// TestAForgedApprovalExecutesNothing: somebody has the approval service's key, writes
// what they like, and the bus and the fold take it. They have not got Anna's key (PD-A.4).
func TestAForgedApprovalExecutesNothing(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	for i, c := range []struct {
		name string
		// quorum is what the forger asks for, anna what they write down in her name.
		quorum []*releasev1.QuorumRule
		anna   func(s procedure.State) *releasev1.Event
		// key is appended to Anna's key in the release's document, now to that in the one
		// that is in effect.
		key, now string
		rules    []string
	}{
		{
			name: "without a signature, and none asked for", quorum: proceduretest.Quorum(),
			anna: func(s procedure.State) *releasev1.Event {
				return proceduretest.Approval(s, time.Now().Add(time.Hour))
			},
			rules: []string{"approval.quorum", "approval.quorum", "approval.signature"},
		},
		{
			name: "with fewer people asked for", quorum: []*releasev1.QuorumRule{{Group: "release-managers", Count: 1, Signed: true}},
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "anna"), time.Now())
			},
			rules: []string{"approval.quorum"},
		},
		{
			name: "signed with the forger's key",
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "mallory"), time.Now())
			},
			rules: []string{"approval.signature"},
		},
		{
			name: "signed with Ben's key",
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "ben"), time.Now())
			},
			rules: []string{"approval.signature"},
		},
		{
			name: "signed by Anna for another release",
			anna: func(s procedure.State) *releasev1.Event {
				before := s
				before.Release = "shop-aaaaaaaaaaaaaaaa"
				return consenttest.Approval(t, before, "anna", sshsigtest.Key(t, "anna"), time.Now())
			},
			rules: []string{"approval.signature"},
		},
		{
			name: "signed by Anna, and prolonged",
			anna: func(s procedure.State) *releasev1.Event {
				e := consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "anna"), time.Now())
				d := e.GetApprovalGiven()
				d.Expires.Seconds += 3600
				d.Signature.Expires = d.GetExpires()
				return e
			},
			rules: []string{"approval.signature"},
		},
		{
			name: "signed by Anna with a key that is over",
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "anna"), time.Now())
			},
			key: `, not_after: "2026-01-01T00:00:00Z"`, rules: []string{"approval.signature"},
		},
		{
			name: "signed by Anna, whose key was stolen since",
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "anna"), time.Now())
			},
			now: ", revoked: true", rules: []string{"approval.signature"},
		},
		{
			name: "signed by everybody",
			anna: func(s procedure.State) *releasev1.Event {
				return consenttest.Approval(t, s, "anna", sshsigtest.Key(t, "anna"), time.Now())
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, signedDocument(t, c.key)+fmt.Sprintf("# %d\n", i))
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("forged-%d", i)))
			r.To(t, procedure.PhaseRisk)
			e := proceduretest.Risk(r.State(t), time.Now())
			if e.GetRiskCleared().Quorum = c.quorum; c.quorum == nil {
				e.GetRiskCleared().Quorum = []*releasev1.QuorumRule{{Group: "release-managers", Count: 1, Signed: true}, {Group: "security", Count: 1, Signed: true}}
			}
			r.Do(t, "", e)
			r.Do(t, "anna", c.anna(r.State(t)))
			if len(e.GetRiskCleared().GetQuorum()) > 1 {
				r.Do(t, "ben", consenttest.Approval(t, r.State(t), "ben", sshsigtest.Key(t, "ben"), time.Now()))
			}
			r.To(t, procedure.PhaseExecute)
			if c.now != "" {
				w.Activate(t, signedDocument(t, c.now)+fmt.Sprintf("# now %d\n", i))
			}
			one := w.Executor(t, "one", nil)
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			var rules []string
			for _, f := range events[0].GetExecutionRefused().GetFindings() {
				rules = append(rules, f.GetRule())
			}
			s := r.State(t)
			if !slices.Equal(rules, c.rules) || s.Started() != (len(c.rules) == 0) || len(w.Effects(t, "eu1", r.ID)) != 0 {
				t.Errorf("refused by %v, want %v; in phase %s: %s", rules, c.rules, s.Phase, s.EndReason)
			}
			if len(c.rules) > 0 {
				return
			}
			// Between the claim and the effect Anna loses her key.
			w.Activate(t, signedDocument(t, ", revoked: true")+"# lost\n")
			events, err = one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) != 1 || events[0].GetExecutionFailed() == nil || len(w.Effects(t, "eu1", r.ID)) != 0 {
				t.Errorf("after the claim: %v, %v, %d effects", events, err, len(w.Effects(t, "eu1", r.ID)))
			}
		})
	}
}

// TestAStandInsApprovalIsLookedAtAgain: at the start the delegation still has to be there,
// and the document has to have such.
func TestAStandInsApprovalIsLookedAtAgain(t *testing.T) {
	rule := "stand_ins: {longest: 24h, groups: [release-managers]}\n"
	delegation := &releasev1.Delegation{
		Number: 1, Person: "anna", StandIn: "eve", From: timestamppb.New(time.Now().Add(-time.Hour)), Until: timestamppb.New(time.Now().Add(time.Hour)),
	}
	for i, c := range []struct {
		name, document  string
		revoked, signed bool
		later           time.Duration
		rules           []string
	}{
		{"revoked since", rule, true, false, 0, []string{"approval.person"}},
		{"revoked since, and would be over by now", rule, true, false, 90 * time.Minute, []string{"approval.person"}},
		{"never there, by the document", "", false, false, 0, []string{"approval.person"}},
		{"where people sign", rule, false, true, 0, []string{"approval.signature", "approval.signature", "approval.signature"}},
		{"over since", rule, false, false, 90 * time.Minute, nil},
		{"as it should be", rule, false, false, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, sitetest.Document(c.document+fmt.Sprintf("# %d\n", i)))
			all, err := standing.ReadDelegations(t.Context(), w.Store(procedure.ServiceApproval), "PROC-DEPLOY-001")
			if err != nil {
				t.Fatal(err)
			}
			made := all.Made(proto.CloneOf(delegation), time.Now())
			delegation := made.GetDelegationsChanged().GetChanged()
			made.ProcedureDigest = w.Digest
			w.Append(t, procedure.ServiceApproval, all.Draft(made))
			if c.revoked {
				if all, err = standing.ReadDelegations(t.Context(), w.Store(procedure.ServiceApproval), "PROC-DEPLOY-001"); err != nil {
					t.Fatal(err)
				}
				revoked := all.Revoked(delegation, "misused", time.Now())
				revoked.ProcedureDigest = w.Digest
				w.Append(t, procedure.ServiceApproval, all.Draft(revoked))
			}
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("stand-in-%d", i)))
			r.To(t, procedure.PhaseApprove)
			e := proceduretest.Approval(r.State(t), time.Now().Add(3*time.Hour))
			e.GetApprovalGiven().StandIn = &releasev1.StandIn{Person: "anna", Groups: []string{"release-managers"}, Delegations: []*releasev1.Delegation{delegation}}
			r.Do(t, "eve", e)
			r.Do(t, "ben", proceduretest.Approval(r.State(t), time.Now().Add(3*time.Hour)))
			r.To(t, procedure.PhaseExecute)
			one := w.Executor(t, "one", nil)
			if c.signed {
				one.Signers = policy.NewIndex(&policyv1.Procedure{})
			}
			task := r.Task(t, 1)
			task.Now = task.Now.Add(c.later)
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), task)
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			var rules []string
			for _, f := range events[0].GetExecutionRefused().GetFindings() {
				rules = append(rules, f.GetRule())
			}
			if !slices.Equal(rules, c.rules) || r.State(t).Started() != (len(c.rules) == 0) {
				t.Errorf("refused by %v, want %v: %s", rules, c.rules, r.State(t).EndReason)
			}
		})
	}
}

// TestAForgedDocumentExecutesNothing: the forger puts a procedure document of their own
// into effect, in which nobody has to sign, or they have a key themselves. Whose
// signatures this executor demands came from elsewhere.
func TestAForgedDocumentExecutesNothing(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	for i, c := range []struct {
		name     string
		document string
		key      string
		refused  bool
	}{
		{"nobody has to sign", sitetest.Document(""), "", true},
		{"the forger has a key", strings.ReplaceAll(signedDocument(t, ""), strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, "anna"))), strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, "mallory")))), "mallory", true},
		{"as it should be", signedDocument(t, ""), "anna", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, c.document+fmt.Sprintf("# %d\n", i))
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("document-%d", i)))
			r.To(t, procedure.PhaseRisk)
			e := proceduretest.Risk(r.State(t), time.Now())
			for _, q := range e.GetRiskCleared().GetQuorum() {
				q.Signed = c.key != ""
			}
			r.Do(t, "", e)
			if c.key != "" {
				r.Do(t, "anna", consenttest.Approval(t, r.State(t), "anna", sshsigtest.Key(t, c.key), time.Now()))
				r.Do(t, "ben", consenttest.Approval(t, r.State(t), "ben", sshsigtest.Key(t, "ben"), time.Now()))
			}
			r.To(t, procedure.PhaseExecute)
			one := w.Executor(t, "one", nil)
			one.Signers = policy.NewIndex(&policyv1.Procedure{People: []*policyv1.Person{
				{Id: "anna", SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "anna"))}}},
				{Id: "ben", SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "ben"))}}},
			}})
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) == 0 || r.State(t).Started() == c.refused {
				t.Errorf("%v, %v", events, err)
			}
		})
	}
}
