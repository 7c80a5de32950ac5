package policy

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/pattern"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// identities checks whom certificates are trusted for. Verdicts name keys and
// identities alike, so that no two may have one id.
func (c *checker) identities() {
	identities := c.document.GetSigstore().GetIdentities()
	c.unique("sigstore.identities", "id", names(identities, (*policyv1.Identity).GetId))
	keys := names(c.document.GetKeys(), (*policyv1.Key).GetId)
	for i, identity := range identities {
		path := fmt.Sprintf("sigstore.identities[%d]", i)
		if slices.Contains(keys, identity.GetId()) {
			c.report(path+".id", "duplicate", "%q is the id of a key already", identity.GetId())
		}
		c.known(path+".gates", "gate", identity.GetGates(), c.hasGate)
		c.waives(path+".waives", identity.GetWaives())
		if len(identity.GetGates())+len(identity.GetWaives()) == 0 {
			c.report(path+".gates", "identity.gates", "%s is trusted for nothing: name the gates for which it signs, or waives", identity.GetId())
		}
		if p := identity.GetSubjectPattern(); p != "" {
			compiled, err := pattern.Compile(p)
			switch {
			case err != nil:
				c.report(path+".subject_pattern", "pattern", "%v", err)
			case compiled.MatchString(""):
				c.report(path+".subject_pattern", "pattern", "it matches nothing at all, and so could match anybody")
			}
		}
	}
}
