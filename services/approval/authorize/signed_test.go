package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnApprovalIsSigned takes signatures as people make them, and none that is not the
// caller's, of this release, for now (PD-A.4).
func TestAnApprovalIsSigned(t *testing.T) {
	public := func(name string) []*policyv1.PersonKey {
		return []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, name))}}
	}
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, rule := range d.GetEnvironments()[0].GetApprovals() {
			rule.Signed = true
		}
		d.People[0].SigningKeys = append(public("anna"), &policyv1.PersonKey{Ssh: public("anna's lost one")[0].GetSsh(), Revoked: true})
		d.People[1].SigningKeys = public("ben")
	})
	desk := r.dial(t)
	demand := func(key string) procedure.State {
		release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key(key))
		return r.Do(t, release, "", proceduretest.Risk(r.State(t, release), time.Now(), func(f *procedure.RiskFacts) {
			for _, q := range f.Quorum {
				q.Signed = true
			}
		}))
	}
	s, other := demand("signed"), demand("other")
	answer, err := desk.GetPending(as(t, "ANNA@shop.example"), &approvalv1.GetPendingRequest{Release: s.Release})
	if err != nil {
		t.Fatal(err)
	}
	offer := answer.GetSigning()
	if offer.GetPerson() != "anna" || !offer.GetRequired() || offer.GetProcedureDigest() != s.ProcedureDigest || len(offer.GetKeys()) != 1 {
		t.Errorf("offered: %v", offer)
	}
	call := approve(s)
	sign := func(s procedure.State, key string, changes ...func(*procedure.Approval)) *releasev1.ApprovalSignature {
		a := procedure.Approval{
			Person: "anna", Comment: call.GetComment(), ShownDigest: call.GetShownDigest(), Expires: offer.GetExpires().AsTime(),
			Signature: &releasev1.ApprovalSignature{Signed: timestamppb.Now()},
		}
		for _, change := range changes {
			change(&a)
		}
		return consenttest.Signed(t, s, a, sshsigtest.Key(t, key)).Signature
	}
	good := sign(s, "anna")
	for name, c := range map[string]struct {
		signature *releasev1.ApprovalSignature
		code      codes.Code
		reason    string
	}{
		"without one":                 {nil, codes.PermissionDenied, "SIGNATURE_REQUIRED"},
		"of Ben":                      {sign(s, "ben"), codes.PermissionDenied, "SIGNATURE"},
		"with a key that was revoked": {sign(s, "anna's lost one"), codes.PermissionDenied, "SIGNATURE"},
		"of another release":          {sign(other, "anna"), codes.PermissionDenied, "SIGNATURE"},
		"with another comment":        {sign(s, "anna", func(a *procedure.Approval) { a.Comment = "no" }), codes.PermissionDenied, "SIGNATURE"},
		"of another view":             {sign(s, "anna", func(a *procedure.Approval) { a.ShownDigest = consenttest.Shown }), codes.PermissionDenied, "SIGNATURE"},
		"for longer than it counts": {
			sign(s, "anna", func(a *procedure.Approval) { a.Expires = a.Expires.Add(24 * time.Hour) }), codes.InvalidArgument, "INVALID_FIELD",
		},
		"for a time that is over": {sign(s, "anna", func(a *procedure.Approval) {
			a.Signature.Signed, a.Expires = timestamppb.New(time.Now().Add(-time.Hour)), time.Now().Add(-time.Minute)
		}), codes.FailedPrecondition, "OTHER_STATE"},
		"in the future": {sign(s, "anna", func(a *procedure.Approval) { a.Signature.Signed = timestamppb.New(time.Now().Add(time.Hour)) }), codes.FailedPrecondition, "OTHER_STATE"},
		"that is none":  {&releasev1.ApprovalSignature{Signed: good.GetSigned(), Expires: good.GetExpires(), Armored: "LGTM"}, codes.PermissionDenied, "SIGNATURE"},
		"without times": {&releasev1.ApprovalSignature{Armored: good.GetArmored()}, codes.InvalidArgument, "INVALID_FIELD"},
	} {
		try := proto.CloneOf(call)
		try.Signature = c.signature
		_, err := desk.Approve(as(t, "anna"), try)
		want(t, name, err, c.code, c.reason)
	}
	call.Signature = good
	if _, err := desk.Approve(as(t, "anna"), call); err != nil {
		t.Fatal(err)
	}
	a := r.State(t, s.Release).Approvals[0]
	if !proto.Equal(a.Signature, good) || !a.Expires.Equal(good.GetExpires().AsTime()) {
		t.Errorf("on record: %v", a)
	}
	// Others see who signed, and with which key.
	answer, err = desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: s.Release})
	if err != nil || answer.GetPending().GetApprovals()[0].GetSignedBy() != offer.GetKeys()[0] {
		t.Errorf("shown: %v, %v", answer.GetPending().GetApprovals(), err)
	}
	// Taken back, it is taken back.
	if _, err := desk.WithdrawApproval(as(t, "anna"), &approvalv1.WithdrawApprovalRequest{Release: s.Release, Reason: "second thoughts"}); err != nil {
		t.Fatal(err)
	}
	call.ShownDigest = approve(r.State(t, s.Release)).GetShownDigest()
	call.Signature = good
	if _, err := desk.Approve(as(t, "anna"), call); err == nil {
		t.Error("a signature that was taken back counts again")
	}
}
