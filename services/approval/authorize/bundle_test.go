package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnApprovalIsSignedWithSigstore takes bundles as cosign makes them, and none that is
// not the caller's, of this release, for now (PD-A.4).
func TestAnApprovalIsSignedWithSigstore(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	root := ours.Root(t)
	identity := func(subject string, revoked bool) *policyv1.PersonIdentity {
		return &policyv1.PersonIdentity{Issuer: consenttest.Issuer, Subject: subject, Revoked: revoked}
	}
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Environments[0].Approvals[0].Signed = true
		d.Sigstore = &policyv1.Sigstore{TrustedRoot: policy.Digest(root)}
		d.People[0].SigningIdentities = []*policyv1.PersonIdentity{identity(consenttest.Subject("anna"), false), identity("anna@old.example", true)}
		d.People[1].SigningIdentities = []*policyv1.PersonIdentity{identity(consenttest.Subject("ben"), false)}
	})
	if _, err := r.Evidence.Put(t.Context(), "application/json", "sigstore trusted root", root); err != nil {
		t.Fatal(err)
	}
	desk := r.dial(t)
	demand := func(key string) procedure.State {
		release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key(key))
		return r.Do(t, release, "", proceduretest.Risk(r.State(t, release), time.Now(), func(f *procedure.RiskFacts) {
			for _, q := range f.Quorum {
				q.Signed = true
			}
		}))
	}
	s, other := demand("bundled"), demand("other")
	answer, err := desk.GetPending(as(t, "anna"), &approvalv1.GetPendingRequest{Release: s.Release})
	if err != nil {
		t.Fatal(err)
	}
	offer := answer.GetSigning()
	if len(offer.GetIdentities()) != 1 || offer.GetIdentities()[0].GetSubject() != "anna@shop.example" || offer.GetIdentities()[0].GetIssuer() != consenttest.Issuer {
		t.Errorf("offered: %v", offer)
	}
	call := approve(s)
	sign := func(s procedure.State, instance *sigstoretest.Instance, subject string, o sigstoretest.Options) *releasev1.ApprovalSignature {
		return consenttest.BundledBy(t, s, procedure.Approval{
			Person: "anna", Comment: call.GetComment(), ShownDigest: call.GetShownDigest(), Expires: offer.GetExpires().AsTime(),
			Signature: &releasev1.ApprovalSignature{Signed: timestamppb.Now()},
		}, instance, subject, consenttest.Issuer, o).Signature
	}
	anna, now := consenttest.Subject("anna"), sigstoretest.Options{}
	good := sign(s, ours, anna, now)
	changed := func(change func(*releasev1.ApprovalSignature)) *releasev1.ApprovalSignature {
		other := proto.CloneOf(good)
		change(other)
		return other
	}
	for name, c := range map[string]struct {
		signature *releasev1.ApprovalSignature
		code      codes.Code
		reason    string
	}{
		"of Ben":                {sign(s, ours, consenttest.Subject("ben"), now), codes.PermissionDenied, "SIGNATURE"},
		"by an identity of old": {sign(s, ours, "anna@old.example", now), codes.PermissionDenied, "SIGNATURE"},
		"in other letters":      {sign(s, ours, "ANNA@shop.example", now), codes.PermissionDenied, "SIGNATURE"},
		"of another instance":   {sign(s, theirs, anna, now), codes.PermissionDenied, "SIGNATURE"},
		"of another release":    {sign(other, ours, anna, now), codes.PermissionDenied, "SIGNATURE"},
		"of a time to come":     {sign(s, ours, anna, sigstoretest.Options{At: time.Now().Add(9 * time.Minute)}), codes.PermissionDenied, "SIGNATURE"},
		"of an older form":      {changed(func(s *releasev1.ApprovalSignature) { s.Bundle = `{"base64Signature":"","cert":""}` }), codes.PermissionDenied, "SIGNATURE"},
		"longer than any": {changed(func(s *releasev1.ApprovalSignature) {
			s.Bundle = string(sigstoretest.Change(t, []byte(s.GetBundle()), "x", make([]int, sigstore.MaxText)))
		}), codes.InvalidArgument, "INVALID_FIELD"},
		"besides an SSH signature": {changed(func(s *releasev1.ApprovalSignature) { s.Armored = "…" }), codes.InvalidArgument, "INVALID_FIELD"},
		"that is neither":          {changed(func(s *releasev1.ApprovalSignature) { s.Bundle = "" }), codes.InvalidArgument, "INVALID_FIELD"},
	} {
		try := proto.CloneOf(call)
		try.Signature = c.signature
		_, err := desk.Approve(as(t, "anna"), try)
		want(t, name, err, c.code, c.reason)
	}
	// What a caller says of the identity is not believed, but read from the bundle.
	call.Signature = changed(func(s *releasev1.ApprovalSignature) { s.Identity.Subject = consenttest.Subject("ben") })
	if _, err := desk.Approve(as(t, "anna"), call); err != nil {
		t.Fatal(err)
	}
	if a := r.State(t, s.Release).Approvals[0]; !proto.Equal(a.Signature, good) || !a.Expires.Equal(good.GetExpires().AsTime()) {
		t.Errorf("on record: %v", a)
	}
	answer, err = desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: s.Release})
	if err != nil || answer.GetPending().GetApprovals()[0].GetSignedBy() != "anna@shop.example by https://id.shop.example" {
		t.Errorf("shown: %v, %v", answer.GetPending().GetApprovals(), err)
	}
}
