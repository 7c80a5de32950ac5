// Package signer says in words who signed an approval, from the signature alone, for
// everybody who shows approvals to people. Nothing is verified here: that is for package
// consent, whose libraries whoever only shows things need not have.
package signer

import (
	"github.com/blackdice/shipwarden/internal/sshsig"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Of names whose signature it is: the fingerprint of an SSH key, or an identity. It is empty
// where there is none, or none that can be read.
func Of(s *releasev1.ApprovalSignature) string {
	if s.GetBundle() != "" {
		return Identity(s.GetIdentity().GetIssuer(), s.GetIdentity().GetSubject())
	}
	if s == nil {
		return ""
	}
	signature, err := sshsig.Parse(s.GetArmored())
	if err != nil {
		return ""
	}
	return sshsig.Fingerprint(signature.Key)
}

// Identity is an identity of a sigstore instance, in words.
func Identity(issuer, subject string) string { return subject + " by " + issuer }
