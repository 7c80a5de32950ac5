package policy

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/attest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// waives checks for which gates a key or an identity signs waivers: a trust that can
// never count is a slip in one of the two places.
func (c *checker) waives(path string, gates []string) {
	c.known(path, "gate", gates, c.hasGate)
	for i, name := range gates {
		if gate := c.index.Gate(name); gate != nil && gate.GetWaivable() == nil {
			c.report(fmt.Sprintf("%s[%d]", path, i), "gate.waivable", "the gate %s has no waivable: no waiver of it ever counts", name)
		}
	}
}

// waivable checks that somebody may waive what may be waived, and that a waiver is not
// itself what is demanded.
func (c *checker) waivable(path string, gate *policyv1.Gate) {
	if gate.GetPredicateType() == attest.WaiverType {
		c.report(path+".predicate_type", "gate.waiver", "a waiver stands in for what a gate demands, and satisfies none: waivable says where it may")
	}
	if gate.GetWaivable() == nil {
		return
	}
	if !slices.ContainsFunc(c.document.GetKeys(), func(key *policyv1.Key) bool {
		return slices.Contains(key.GetWaives(), gate.GetName())
	}) && !slices.ContainsFunc(c.document.GetSigstore().GetIdentities(), func(identity *policyv1.Identity) bool {
		return slices.Contains(identity.GetWaives(), gate.GetName())
	}) {
		c.report(path+".waivable", "gate.waives", "no key and no identity waives the gate %s: nobody could ever", gate.GetName())
	}
}
