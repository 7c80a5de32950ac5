// Package consent says whether an approval is its person's own: signed with a key or an
// identity that the procedure document has of them, for exactly this release and this
// change (PD-A.3, PD-A.4). A service that could write approvals of others could not sign
// them.
//
// The text is procedure.ApprovalText, the format that of `ssh-keygen -Y`, or a sigstore
// bundle as `cosign sign-blob` makes it. Whoever has the text, the signature and the list of
// allowed signers, or the trusted root, can check it without a program of ours;
// AllowedSigners writes that list from a procedure document.
package consent

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sshsig"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// ErrSignature says that an approval is not signed by its person. It is
// procedure.ErrSignature, with what only the key can tell.
var ErrSignature = procedure.ErrSignature

// Verify returns the fingerprint of the key, or the identity, with which the approval's
// person signed it, or why it is not theirs. It must be one of the person's in every one of
// the documents, at the time at which the approval was stored: that of the release, which
// the person signs, and the one in effect now, in which it may have been revoked since. The
// roots are those that the caller trusts to verify bundles with. The error wraps
// ErrSignature.
func Verify(s procedure.State, a procedure.Approval, roots sigstore.Roots, documents ...*policy.Index) (string, error) {
	switch {
	case a.Signature == nil:
		return "", fmt.Errorf("%w: there is none", ErrSignature)
	case a.Signature.GetBundle() != "" && a.Signature.GetArmored() != "":
		return "", fmt.Errorf("%w: there are two", ErrSignature)
	case a.Signature.GetBundle() != "":
		return verifyBundle(s, a, roots, documents)
	}
	signature, err := sshsig.Parse(a.Signature.GetArmored())
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	fingerprint := sshsig.Fingerprint(signature.Key)
	if len(documents) == 0 {
		return "", fmt.Errorf("%w: no document says whose keys count", ErrSignature)
	}
	for _, index := range documents {
		if err := may(index, a, signature.Key); err != nil {
			return "", fmt.Errorf("%w: key %s: %w", ErrSignature, fingerprint, err)
		}
	}
	text, err := procedure.ApprovalText(s, a)
	if err != nil {
		return "", err
	}
	if err := signature.Verify(procedure.SignatureNamespace, text); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return fingerprint, nil
}

// Reasons for which a key does not speak for a person.
var (
	errForeign = errors.New("it is no key of the person")
	errRevoked = errors.New("it is revoked")
	errSpan    = errors.New("it is not valid at that time")
)

func may(index *policy.Index, a procedure.Approval, key ssh.PublicKey) error {
	person := index.Person(a.Person)
	if person.GetId() != a.Person || person.GetMachine() || person.GetInactive() {
		return errForeign
	}
	for _, k := range person.GetSigningKeys() {
		public, err := sshsig.ParseKey(k.GetSsh())
		if err != nil || !bytes.Equal(public.Marshal(), key.Marshal()) {
			continue
		}
		return valid(k, a.Given)
	}
	return errForeign
}

// spanned is a key or an identity, which may be over or revoked.
type spanned interface {
	GetRevoked() bool
	GetNotBefore() *timestamppb.Timestamp
	GetNotAfter() *timestamppb.Timestamp
}

func valid(k spanned, at time.Time) error {
	switch {
	case k.GetRevoked():
		return errRevoked
	case k.GetNotBefore() != nil && at.Before(k.GetNotBefore().AsTime()), k.GetNotAfter() != nil && !at.Before(k.GetNotAfter().AsTime()):
		return errSpan
	}
	return nil
}

// Keys returns the fingerprints of the keys with which a person may sign at that time.
func Keys(index *policy.Index, person string, at time.Time) []string {
	var out []string
	for _, k := range index.Person(person).GetSigningKeys() {
		public, err := sshsig.ParseKey(k.GetSsh())
		if err == nil && valid(k, at) == nil {
			out = append(out, sshsig.Fingerprint(public))
		}
	}
	return out
}

// AllowedSigners is who may sign approvals by a procedure document, as `ssh-keygen -Y
// verify -f` reads it. Keys that were revoked are left out.
func AllowedSigners(document *policyv1.Procedure) string {
	var out strings.Builder
	for _, p := range document.GetPeople() {
		for _, k := range p.GetSigningKeys() {
			public, err := sshsig.ParseKey(k.GetSsh())
			if err != nil || k.GetRevoked() || p.GetMachine() || p.GetInactive() {
				continue
			}
			options := `namespaces="` + procedure.SignatureNamespace + `"`
			if t := k.GetNotBefore(); t != nil {
				options += `,valid-after="` + t.AsTime().UTC().Format(sshTime) + `"`
			}
			if t := k.GetNotAfter(); t != nil {
				options += `,valid-before="` + t.AsTime().UTC().Format(sshTime) + `"`
			}
			fmt.Fprintf(&out, "%s %s %s", p.GetId(), options, ssh.MarshalAuthorizedKey(public))
		}
	}
	return out.String()
}

// sshTime is how OpenSSH writes a time in UTC.
const sshTime = "20060102150405Z"
