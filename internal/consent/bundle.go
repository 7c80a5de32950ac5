package consent

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/internal/consent/signer"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// skew is by how much the clock of a log or a timestamping authority may differ from the
// bus's, and from the person's own.
const skew = time.Minute

// maxSaid bounds what is told of why a bundle does not verify, in bytes: much of it is
// somebody else's text.
const maxSaid = 400

// Reasons for which a bundle is not its person's approval.
var (
	errNoRoot   = errors.New("the procedure document names no trusted root of a sigstore instance")
	errNoFile   = errors.New("none of the trusted roots that are configured here is the one that the procedure document names")
	errBeside   = errors.New("an identity is that of a bundle, and there is none")
	errIdentity = errors.New("it is no signing identity of the person")
	errClaim    = errors.New("its certificate was issued to somebody else than is written down beside it")
	errBuild    = errors.New("its certificate was issued to a build, and machines never approve")
	errBefore   = errors.New("it was signed before the release was requested")
	errEarly    = errors.New("it was signed before the time that its text says")
	errLate     = errors.New("it was signed after the approval was given")
	errOver     = errors.New("it was signed after the approval's end")
)

// Identified returns the signature with the identity that its bundle claims, for whoever
// takes the bundle in; one without a bundle is returned as it is, and has no identity. The
// error wraps ErrSignature.
func Identified(s *releasev1.ApprovalSignature) (*releasev1.ApprovalSignature, error) {
	if s.GetBundle() == "" {
		if s.GetIdentity() != nil {
			return nil, said(errBeside)
		}
		return s, nil
	}
	c, err := sigstore.Claim([]byte(s.GetBundle()))
	if err != nil {
		return nil, said(err)
	}
	return &releasev1.ApprovalSignature{
		Signed: s.GetSigned(), Expires: s.GetExpires(), Bundle: s.GetBundle(),
		Identity: &releasev1.SignerIdentity{Issuer: c.Issuer, Subject: c.Subject},
	}, nil
}

// verifyBundle is Verify of a bundle. It must verify with the trusted root that each of the
// documents names: that of the release, which the person signs, and the one in effect now,
// whose root may be another one since the old one is trusted no more. Documents that name
// none, as the executor's own list of signers does, say only whose identities count; one at
// least has to name one.
func verifyBundle(s procedure.State, a procedure.Approval, roots sigstore.Roots, documents []*policy.Index) (string, error) {
	text, err := procedure.ApprovalText(s, a)
	if err != nil {
		return "", err
	}
	verified := map[string]bool{}
	var w sigstore.Witnessed
	for _, index := range documents {
		digest := index.Document().GetSigstore().GetTrustedRoot()
		if digest == "" || verified[digest] {
			continue
		}
		root := roots[digest]
		if root == nil {
			return "", fmt.Errorf("%w: %w: %s", ErrSignature, errNoFile, digest)
		}
		if w, err = root.VerifyText([]byte(a.Signature.GetBundle()), text); err != nil {
			return "", said(err)
		}
		if err := inTime(s, a, w.Seen); err != nil {
			return "", fmt.Errorf("%w: %w", ErrSignature, err)
		}
		verified[digest] = true
	}
	if len(verified) == 0 {
		return "", fmt.Errorf("%w: %w", ErrSignature, errNoRoot)
	}
	issuer, subject := w.Certificate.Issuer, w.Certificate.Subject
	if a.Signature.GetIdentity().GetIssuer() != issuer || a.Signature.GetIdentity().GetSubject() != subject {
		return "", fmt.Errorf("%w: %w: %.200q by %.200q", ErrSignature, errClaim, subject, issuer)
	}
	if w.Certificate.Build() {
		return "", fmt.Errorf("%w: %w", ErrSignature, errBuild)
	}
	for _, index := range documents {
		if err := identified(index, a, issuer, subject, w.Seen); err != nil {
			return "", fmt.Errorf("%w: %.200q by %.200q: %w", ErrSignature, subject, issuer, err)
		}
	}
	return signer.Identity(issuer, subject), nil
}

// inTime says why the times at which a signature was seen do not fit the approval. All of
// them have to lie in the span in which it could be given: from the request on, and not
// before what the text says, by which it is known what was taken back since; up to when the
// bus stored the approval, and before its end. A signature that was kept for another day, or
// made on an earlier one, is none of this approval.
func inTime(s procedure.State, a procedure.Approval, seen []time.Time) error {
	for _, t := range seen {
		var err error
		switch {
		case t.Before(s.RequestedAt.Add(-skew)):
			err = errBefore
		case t.Before(a.Signature.GetSigned().AsTime().Add(-skew)):
			err = errEarly
		case t.After(a.Given.Add(skew)):
			err = errLate
		case !t.Before(a.Expires):
			err = errOver
		}
		if err != nil {
			return fmt.Errorf("%w: at %s", err, t.Format(time.RFC3339))
		}
	}
	return nil
}

// identified says why an identity does not speak for a person: by the time at which the
// approval was stored, and by every one at which the signature was seen.
func identified(index *policy.Index, a procedure.Approval, issuer, subject string, seen []time.Time) error {
	person := index.Person(a.Person)
	if person.GetId() != a.Person || person.GetMachine() || person.GetInactive() {
		return errIdentity
	}
	for _, id := range person.GetSigningIdentities() {
		if id.GetIssuer() != issuer || id.GetSubject() != subject {
			continue
		}
		for _, at := range append([]time.Time{a.Given}, seen...) {
			if err := valid(id, at); err != nil {
				return err
			}
		}
		return nil
	}
	return errIdentity
}

// Identities returns those with which a person may sign at that time.
func Identities(index *policy.Index, person string, at time.Time) []*releasev1.SignerIdentity {
	var out []*releasev1.SignerIdentity
	for _, id := range index.Person(person).GetSigningIdentities() {
		if valid(id, at) == nil {
			out = append(out, &releasev1.SignerIdentity{Issuer: id.GetIssuer(), Subject: id.GetSubject()})
		}
	}
	return out
}

// CanSign reports whether a person has anything to sign with at that time.
func CanSign(index *policy.Index, person string, at time.Time) bool {
	return len(Keys(index, person, at))+len(Identities(index, person, at)) > 0
}

// IdentityOf is the person's identity in a procedure document that a signature names; nil
// where the document has none such, or has revoked it.
func IdentityOf(document *policyv1.Procedure, person string, named *releasev1.SignerIdentity) *policyv1.PersonIdentity {
	for _, p := range document.GetPeople() {
		for _, id := range p.GetSigningIdentities() {
			if p.GetId() == person && id.GetIssuer() == named.GetIssuer() && id.GetSubject() == named.GetSubject() && !id.GetRevoked() {
				return id
			}
		}
	}
	return nil
}

// said is why a bundle is not taken, in a few words that print.
func said(err error) error {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	return fmt.Errorf("%w: %s", ErrSignature, text)
}
