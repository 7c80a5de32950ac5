// Package consenttest signs approvals for tests, as people do.
package consenttest

import (
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Comment and Shown are what is said and was shown in the approvals of this package.
const (
	Comment = "seen"
	Shown   = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
)

// Approval is a signed approval of that person, given at that time and valid for an hour.
func Approval(tb testing.TB, s procedure.State, person string, key ssh.Signer, at time.Time) *releasev1.Event {
	tb.Helper()
	return Of(Signed(tb, s, procedure.Approval{
		Person: person, Expires: at.Add(time.Hour), Comment: Comment, ShownDigest: Shown,
		Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(at)},
	}, key), s.ChangeDigest)
}

// Signed signs an approval as it is, in the right namespace.
func Signed(tb testing.TB, s procedure.State, a procedure.Approval, key ssh.Signer) procedure.Approval {
	tb.Helper()
	a.Signature.Expires = timestamppb.New(a.Expires)
	text, err := procedure.ApprovalText(s, a)
	if err != nil {
		tb.Fatal(err)
	}
	a.Signature.Armored = sshsigtest.Sign(tb, key, procedure.SignatureNamespace, text)
	return a
}

// Issuer is who vouches for the identities of this package.
const Issuer = "https://id.shop.example"

// Subject is a person's identity at the issuer.
func Subject(person string) string { return person + "@shop.example" }

// Bundled signs an approval as it is with a bundle of the instance, as its person.
func Bundled(tb testing.TB, s procedure.State, a procedure.Approval, instance *sigstoretest.Instance, o sigstoretest.Options) procedure.Approval {
	tb.Helper()
	return BundledBy(tb, s, a, instance, Subject(a.Person), Issuer, o)
}

// BundledBy is Bundled, as somebody else.
func BundledBy(tb testing.TB, s procedure.State, a procedure.Approval, instance *sigstoretest.Instance, subject, issuer string, o sigstoretest.Options) procedure.Approval {
	tb.Helper()
	a.Signature.Expires = timestamppb.New(a.Expires)
	text, err := procedure.ApprovalText(s, a)
	if err != nil {
		tb.Fatal(err)
	}
	a.Signature.Bundle = string(instance.SignText(tb, subject, issuer, text, o))
	a.Signature.Identity = &releasev1.SignerIdentity{Issuer: issuer, Subject: subject}
	return a
}

// Bundle is an approval of that person with a bundle, given now and valid for an hour.
func Bundle(tb testing.TB, s procedure.State, person string, instance *sigstoretest.Instance) *releasev1.Event {
	tb.Helper()
	now := time.Now()
	return Of(Bundled(tb, s, procedure.Approval{
		Person: person, Expires: now.Add(time.Hour), Comment: Comment, ShownDigest: Shown,
		Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(now)},
	}, instance, sigstoretest.Options{}), s.ChangeDigest)
}

// Of is the event that gives an approval.
func Of(a procedure.Approval, changeDigest string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
		ChangeDigest: changeDigest, Comment: a.Comment, Expires: timestamppb.New(a.Expires), ShownDigest: a.ShownDigest, Signature: a.Signature,
	}}}
}
