package policy

import (
	"fmt"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// signingIdentities checks that every identity with which a person signs is one person's
// and no machine's, and that there is a trusted root to verify its certificates with
// (PD-A.4). Two that differ in the case of letters alone are refused: a provider may hold
// them for one mailbox, and a certificate of either for the same person.
func (c *checker) signingIdentities() {
	first := make(map[string]string)
	for i, person := range c.document.GetPeople() {
		for j, id := range person.GetSigningIdentities() {
			path := fmt.Sprintf("people[%d].signing_identities[%d]", i, j)
			if person.GetMachine() {
				c.report(path, "person.machine", "%s is a machine, and machines never approve", person.GetId())
			}
			if c.document.GetSigstore().GetTrustedRoot() == "" {
				c.report(path, "identity.root", "nobody can verify it: sigstore.trusted_root names no trusted root")
			}
			c.moment(path+".not_before", id.GetNotBefore())
			c.moment(path+".not_after", id.GetNotAfter())
			if from, to := id.GetNotBefore(), id.GetNotAfter(); from != nil && to != nil && !from.AsTime().Before(to.AsTime()) {
				c.report(path+".not_after", "key.span", "not_after must be after not_before")
			}
			named := fold(id.GetIssuer()) + " " + fold(id.GetSubject())
			if before, taken := first[named]; taken {
				c.report(path+".subject", "duplicate", "%s is there already, in %s", id.GetSubject(), before)
				continue
			}
			first[named] = path
		}
	}
	if c.document.GetSigstore() != nil && len(c.document.GetSigstore().GetIdentities())+len(first) == 0 {
		c.report("sigstore.identities", "identity.nobody", "nobody is trusted: name identities, or signing_identities of people")
	}
}

// identityOf is the identity of a person that is the same as another one; nil for none.
func identityOf(p *policyv1.Person, other *policyv1.PersonIdentity) *policyv1.PersonIdentity {
	for _, i := range p.GetSigningIdentities() {
		if i.GetIssuer() == other.GetIssuer() && i.GetSubject() == other.GetSubject() {
			return i
		}
	}
	return nil
}
