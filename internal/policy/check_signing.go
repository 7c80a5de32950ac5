package policy

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/sshsig"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// signingKeys checks that every key of a person is one, of one person and of no machine:
// a key that two people have shows of neither that they approved (PD-A.4).
func (c *checker) signingKeys() {
	first := make(map[string]string)
	for i, person := range c.document.GetPeople() {
		for j, key := range person.GetSigningKeys() {
			path := fmt.Sprintf("people[%d].signing_keys[%d]", i, j)
			if person.GetMachine() {
				c.report(path, "person.machine", "%s is a machine, and machines never approve", person.GetId())
			}
			c.moment(path+".not_before", key.GetNotBefore())
			c.moment(path+".not_after", key.GetNotAfter())
			if from, to := key.GetNotBefore(), key.GetNotAfter(); from != nil && to != nil && !from.AsTime().Before(to.AsTime()) {
				c.report(path+".not_after", "key.span", "not_after must be after not_before")
			}
			public, err := sshsig.ParseKey(key.GetSsh())
			if err != nil {
				if key.GetSsh() != "" { // the schema says so
					c.report(path+".ssh", "key.unusable", "%v", err)
				}
				continue
			}
			named := sshsig.Fingerprint(public)
			if before, taken := first[named]; taken {
				c.report(path+".ssh", "duplicate", "the key %s is there already, in %s", named, before)
				continue
			}
			first[named] = path
		}
	}
}

// signedEnvironments checks that where everybody is to sign, enough people can.
func (c *checker) signedEnvironments() {
	for i, environment := range c.document.GetEnvironments() {
		if !environment.GetRequireSignedApprovals() {
			continue
		}
		field := fmt.Sprintf("environments[%d].require_signed_approvals", i)
		for _, rules := range [][]*policyv1.Approvals{
			environment.GetApprovals(), c.document.GetNoRollbackApprovals(), c.document.GetHighRiskApprovals(),
			{{Group: c.document.GetEmergency().GetGroup(), Count: 1}},
			c.document.GetEmergency().GetQuota().GetOver(),
		} {
			for _, rule := range rules {
				c.signers(field, rule.GetGroup(), int(rule.GetCount()))
			}
		}
	}
}

// signers reports a group of which fewer people have a key or an identity than are to sign.
func (c *checker) signers(field, group string, count int) {
	if !c.hasGroup(group) {
		return // that is said already
	}
	able, members := 0, c.index.People(group)
	for _, id := range members {
		if canSign(c.index.Person(id)) {
			able++
		}
	}
	// Who is on call makes one more, if that is always somebody else, and one who can sign.
	if turning := c.index.turning(group); c.index.always(group) > len(members) &&
		!slices.ContainsFunc(turning, func(id string) bool { return !canSign(c.index.Person(id)) }) {
		able++
	}
	if able < count {
		c.report(field, "group.unsigned", "%d of the group %s are to sign, and %d have a key in signing_keys or an identity in signing_identities", count, group, able)
	}
}

// canSign reports whether a person has something to sign with that is not revoked.
func canSign(p *policyv1.Person) bool {
	return slices.ContainsFunc(p.GetSigningKeys(), func(k *policyv1.PersonKey) bool { return !k.GetRevoked() }) ||
		slices.ContainsFunc(p.GetSigningIdentities(), func(i *policyv1.PersonIdentity) bool { return !i.GetRevoked() })
}
