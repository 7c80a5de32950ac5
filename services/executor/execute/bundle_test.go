package execute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// bundledDocument demands signatures of everybody in production, as signedDocument does:
// Anna signs with sigstore, Ben with his key.
func bundledDocument(t *testing.T, root []byte, annas string) string {
	t.Helper()
	document := signedDocument(t, "")
	key := strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, "anna")))
	document = strings.Replace(document, "signing_keys: [{ssh: \""+key+"\"}]", fmt.Sprintf("signing_identities: [{issuer: %q, subject: %q%s}]", consenttest.Issuer, consenttest.Subject("anna"), annas), 1)
	return document + "sigstore: {trusted_root: \"" + policy.Digest(root) + "\"}\n"
}

// TestAForgedBundleExecutesNothing: somebody has the approval service, writes what they
// like, and the bus and the fold take it. They cannot log in as Anna, and the trusted root
// with which this executor verifies is a file of its own (PD-A.4).
func TestAForgedBundleExecutesNothing(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	ours, forgers := sigstoretest.New(t), sigstoretest.New(t)
	root, forged := ours.Root(t), forgers.Root(t)
	trusted, err := sigstore.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	roots := sigstore.Roots{policy.Digest(root): trusted}
	anna := func(t *testing.T, s procedure.State) *releasev1.Event {
		t.Helper()
		return consenttest.Bundle(t, s, "anna", ours)
	}
	signers := func(issuer string) *policy.Index {
		return policy.NewIndex(&policyv1.Procedure{People: []*policyv1.Person{
			{Id: "anna", SigningIdentities: []*policyv1.PersonIdentity{{Issuer: issuer, Subject: consenttest.Subject("anna")}}},
			{Id: "ben", SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "ben"))}}},
		}})
	}
	for i, c := range []struct {
		name string
		anna func(*testing.T, procedure.State) *releasev1.Event
		// root is that of the document, roots those of this executor.
		root    []byte
		roots   sigstore.Roots
		signers *policy.Index
		refused string
	}{
		{name: "by Ben, in Anna's name", anna: func(t *testing.T, s procedure.State) *releasev1.Event {
			t.Helper()
			e := consenttest.Bundle(t, s, "anna", ours)
			other := consenttest.BundledBy(t, s, procedure.Approval{
				Person: "anna", Expires: e.GetApprovalGiven().GetExpires().AsTime(), Comment: consenttest.Comment, ShownDigest: consenttest.Shown,
				Signature: &releasev1.ApprovalSignature{Signed: e.GetApprovalGiven().GetSignature().GetSigned()},
			}, ours, consenttest.Subject("ben"), consenttest.Issuer, sigstoretest.Options{})
			e.GetApprovalGiven().Signature.Bundle = other.Signature.GetBundle()
			return e
		}, root: root, roots: roots, refused: "somebody else than is written down"},
		{name: "by Anna, for another release", anna: func(t *testing.T, s procedure.State) *releasev1.Event {
			t.Helper()
			s.Release = "shop-aaaaaaaaaaaaaaaa"
			return consenttest.Bundle(t, s, "anna", ours)
		}, root: root, roots: roots, refused: "does not verify"},
		{name: "by Anna, for another environment", anna: func(t *testing.T, s procedure.State) *releasev1.Event {
			t.Helper()
			request := proceduretest.Request()
			request.Environment, s.Request = "staging", request
			return consenttest.Bundle(t, s, "anna", ours)
		}, root: root, roots: roots, refused: "does not verify"},
		{name: "with a sigstore instance and a document of the forger's", anna: func(t *testing.T, s procedure.State) *releasev1.Event {
			t.Helper()
			return consenttest.Bundle(t, s, "anna", forgers)
		}, root: forged, roots: roots, refused: "none of the trusted roots that are configured here"},
		{name: "where no root is configured", anna: anna, root: root, refused: "none of the trusted roots that are configured here"},
		{name: "as somebody whom the signers file does not name", anna: anna, root: root, roots: roots, signers: signers("https://id.evil.example"), refused: "no signing identity"},
		{name: "as somebody whom it names", anna: anna, root: root, roots: roots, signers: signers(consenttest.Issuer)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, bundledDocument(t, c.root, "")+fmt.Sprintf("# %d\n", i))
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("bundle-%d", i)))
			r.To(t, procedure.PhaseRisk)
			e := proceduretest.Risk(r.State(t), time.Now())
			e.GetRiskCleared().Quorum = []*releasev1.QuorumRule{{Group: "release-managers", Count: 1, Signed: true}, {Group: "security", Count: 1, Signed: true}}
			r.Do(t, "", e)
			r.Do(t, "anna", c.anna(t, r.State(t)))
			r.Do(t, "ben", consenttest.Approval(t, r.State(t), "ben", sshsigtest.Key(t, "ben"), time.Now()))
			r.To(t, procedure.PhaseExecute)
			one := w.Executor(t, "one", nil)
			one.Roots, one.Signers = c.roots, c.signers
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			findings := events[0].GetExecutionRefused().GetFindings()
			s := r.State(t)
			if c.refused != "" {
				if s.Started() || len(w.Effects(t, "eu1", r.ID)) != 0 || !slices.ContainsFunc(findings, func(f *releasev1.Finding) bool {
					return f.GetRule() == "approval.signature" && strings.Contains(f.GetMessage(), c.refused)
				}) {
					t.Errorf("started %t, refused by %v", s.Started(), findings)
				}
				return
			}
			if len(findings) > 0 || !s.Started() {
				t.Fatalf("refused by %v", findings)
			}
			// Between the claim and the effect the provider's account of Anna is taken over.
			w.Activate(t, bundledDocument(t, c.root, ", revoked: true")+fmt.Sprintf("# lost %d\n", i))
			events, err = one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) != 1 || events[0].GetExecutionFailed() == nil || len(w.Effects(t, "eu1", r.ID)) != 0 {
				t.Errorf("after the claim: %v, %v, %d effects", events, err, len(w.Effects(t, "eu1", r.ID)))
			}
		})
	}
}
