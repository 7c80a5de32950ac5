package verdict

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/blackdice/shipwarden/internal/sigstore"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// certified returns the identity that counts for a gate, or why none does. A
// certificate counts by the first identity that it is and that may vouch for the gate;
// where it is also one that is revoked, it counts by none: whoever revokes a workflow
// means it, whatever wider pattern lets it in.
func certified(identities []*policyv1.Identity, c sigstore.Certificate, use purpose) (signer, reason string) {
	var reasons []string
	for _, identity := range identities {
		if identity.GetRevoked() && mismatch(identity, c) == "" {
			return "", fmt.Sprintf("is signed by %q, who is revoked", identity.GetId())
		}
	}
	for _, identity := range identities {
		if differs := mismatch(identity, c); differs != "" {
			if identity.GetIssuer() == c.Issuer && use.trusts(identity) {
				reasons = append(reasons, fmt.Sprintf("is not %q, because of its %s", identity.GetId(), differs))
			}
			continue
		}
		if use.trusts(identity) {
			return identity.GetId(), ""
		}
		reasons = append(reasons, fmt.Sprintf("is signed by %q, who is not trusted for %s", identity.GetId(), use))
	}
	who := fmt.Sprintf("is signed by %.128q, for whom %.128q vouches", c.Subject, c.Issuer)
	if len(reasons) == 0 {
		return "", who + ", and whom the procedure does not know"
	}
	return "", who + ", and " + strings.Join(reasons, " and ")
}

// mismatch names what of a certificate is not as the identity demands; empty where all
// of it is.
func mismatch(identity *policyv1.Identity, c sigstore.Certificate) string {
	if identity.GetIssuer() != c.Issuer {
		return fmt.Sprintf("issuer %.128q", c.Issuer)
	}
	switch name := identity.GetName().(type) {
	case *policyv1.Identity_Subject:
		if name.Subject != c.Subject {
			return fmt.Sprintf("subject %.128q", c.Subject)
		}
	case *policyv1.Identity_SubjectPattern:
		if !matches(name.SubjectPattern, c.Subject) {
			return fmt.Sprintf("subject %.128q", c.Subject)
		}
	default:
		return "subject, of which nothing is known"
	}
	for _, claim := range []struct{ name, want, got string }{
		{"source repository", identity.GetSourceRepository(), c.SourceRepository},
		{"source reference", identity.GetSourceRef(), c.SourceRef},
		{"build signer", identity.GetBuildSigner(), c.BuildSigner},
		{"build trigger", identity.GetBuildTrigger(), c.BuildTrigger},
		{"runner", identity.GetRunner(), c.Runner},
	} {
		if claim.want != "" && claim.want != claim.got {
			return fmt.Sprintf("%s %.128q", claim.name, claim.got)
		}
	}
	return ""
}

// matches reports whether the pattern matches all of the text. It is not put between
// anchors, out of which a pattern could break. One that does not compile, which the
// document was refused for, matches nothing.
func matches(pattern, text string) bool {
	p, err := regexp.Compile(pattern)
	if err != nil {
		return false
	}
	p.Longest()
	found := p.FindStringIndex(text)
	return found != nil && found[0] == 0 && found[1] == len(text)
}
