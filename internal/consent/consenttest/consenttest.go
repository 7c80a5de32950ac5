// Package consenttest signs approvals for tests, as people do.
package consenttest

import (
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// Of is the event that gives an approval.
func Of(a procedure.Approval, changeDigest string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
		ChangeDigest: changeDigest, Comment: a.Comment, Expires: timestamppb.New(a.Expires), ShownDigest: a.ShownDigest, Signature: a.Signature,
	}}}
}
