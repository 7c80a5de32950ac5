package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// bring sends evidence for a request that was made before.
func (y *yard) bring(key string, evidence [][]byte) {
	y.Helper()
	body, err := proto.Marshal(&releasev1.Evidence{IdempotencyKey: key, Service: "shop", Environment: "production", Evidence: evidence})
	if err != nil {
		y.Fatal(err)
	}
	answer, err := y.Send(y.Context(), "request.production.shop.evidence", "answer.production.shop."+key+".evidence", nats.Header{"Content-Type": {"application/protobuf"}}, body)
	if err != nil || answer.GetOutcome() != releasev1.Answer_OUTCOME_ACCEPTED {
		y.Fatalf("%v, %v", answer, err)
	}
}

// sign gives the approvals of these people for what they are shown, each signed with a
// bundle of the instance.
func (y *yard) sign(release string, instance *sigstoretest.Instance, people ...string) {
	y.Helper()
	y.reach(release, "approve")
	for _, person := range people {
		answer, err := y.as(person).GetPending(y.Context(), &approvalv1.GetPendingRequest{Release: release})
		if err != nil {
			y.Fatal(err)
		}
		p, s := answer.GetPending(), answer.GetSigning()
		signed := consenttest.Bundled(y.T, procedure.State{
			Release: release, Request: p.GetRequest(), RequestedAt: p.GetRequested().AsTime(), ProcedureDigest: s.GetProcedureDigest(), ChangeDigest: p.GetChangeDigest(),
		}, procedure.Approval{
			Person: s.GetPerson(), Expires: s.GetExpires().AsTime(), ShownDigest: p.GetShownDigest(), Signature: &releasev1.ApprovalSignature{Signed: timestamppb.Now()},
		}, instance, sigstoretest.Options{})
		_, err = y.as(person).Approve(y.Context(), &approvalv1.ApproveRequest{
			Release: release, ChangeDigest: p.GetChangeDigest(), ShownDigest: p.GetShownDigest(), Signature: signed.Signature,
		})
		if err != nil {
			y.Fatalf("%s approves %s: %v", person, release, err)
		}
	}
}

// TestABundleAndARuleThroughTheBus has a gate that only a bundle of the release workflow
// satisfies, and only by a rule: all the way from the request to what approvers see. The
// bundle comes later than the request, which waits for it. Then people sign with bundles of
// the same instance, and the executor starts what they signed.
func TestABundleAndARuleThroughTheBus(t *testing.T) {
	t.Parallel()
	const workflow, issuer = "https://git.example/shop/.github/workflows/release.yaml@refs/heads/main", "https://token.example"
	instance := sigstoretest.New(t)
	root := instance.Root(t)
	y := open(t, plan{config: func(_ *shop.World, cfg *rig.Config) error {
		cfg.SigstoreRoot = root
		document := strings.Replace(string(cfg.Procedure), "  - name: production\n", "  - name: production\n    require_signed_approvals: true\n", 1)
		for person, name := range map[string]string{"carol": "Carol Castillo", "dave": "Dave Dvořák", "erin": "Erin Eriksson"} {
			document = strings.Replace(document, name+"}", fmt.Sprintf("%s, signing_identities: [{issuer: %q, subject: %q}]}", name, consenttest.Issuer, consenttest.Subject(person)), 1)
		}
		cfg.Procedure = []byte(strings.Replace(document, "\ngates:\n", fmt.Sprintf(`
sigstore:
  trusted_root: %s
  identities:
    - {id: release-workflow, issuer: %q, subject: %q, gates: [signed-build]}

gates:
  - name: signed-build
    title: Built and signed by the release workflow
    predicate_type: https://slsa.dev/verification_summary/v1
    evidence_within: 1h
    rules:
      - name: level
        expression: attestation.predicate.level >= 3.0 && attestation.signer.issuer == %q && request.service == "shop"
        message: it was not built at level 3
`, policy.Digest(root), issuer, workflow, issuer), 1))
		return nil
	}})
	a := y.build("1.0.0", 0)
	bundle := func(level int) func(*releasev1.Request) {
		return func(r *releasev1.Request) {
			r.Evidence = append(r.Evidence, instance.Sign(t, workflow, issuer, fmt.Sprintf(
				`{"_type":%q,"predicateType":"https://slsa.dev/verification_summary/v1","subject":[{"name":"shop","digest":{"sha256":%q}}],"predicate":{"level":%d}}`,
				attest.StatementType, strings.TrimPrefix(a.Digest, "sha256:"), level)))
		}
	}
	low := y.finish(y.submit(a, "level-2", bundle(2)), releasev1.Outcome_OUTCOME_REJECTED)
	y.says(low, "fails the rule level: it was not built at level 3")
	good := y.submit(a, "level-3", nil)
	y.held(good, "evidence.missing")
	late := &releasev1.Request{}
	bundle(3)(late)
	y.bring("level-3", late.GetEvidence())
	y.reach(good, "approve")
	pending, err := y.as("carol").GetPending(y.Context(), &approvalv1.GetPendingRequest{Release: good})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range pending.GetPending().GetGates() {
		if v.GetGate() == "signed-build" && (v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED || v.GetSignedBy() != "release-workflow") || v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED {
			t.Errorf("%v", v)
		}
	}
	y.sign(good, instance, "carol", "dave")
	y.finish(good, releasev1.Outcome_OUTCOME_SUCCEEDED)
}
