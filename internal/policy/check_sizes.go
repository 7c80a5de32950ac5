package policy

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds on what one release can meet. All of it is written into one event (the
// verdicts of all gates, the receipts of all channels, every freeze before a start by
// the release's document and that in effect, the groups of who decides), and what does not fit there could not be stored: the
// release would be stuck, with a document that was accepted.
const (
	maxGates    = 64              // that one environment requires
	maxChannels = 64              // that are told of one service's releases to it
	maxGroups   = 256             // in which one person may be
	maxAsked    = 100             // people whose approvals one release may need
	maxFreezes  = 24 << 10        // bytes of those that may hold one service one after the other
	maxRules    = freeze.MaxRules // by which freezes come back: each takes milliseconds, whenever a release is looked at
)

// sizes reports what one release could meet too much of.
func (c *checker) sizes() {
	rules := 0
	for i, window := range c.document.GetFreezes() {
		if rules += freeze.Rules(window); rules > maxRules {
			c.report(fmt.Sprintf("freezes[%d]", i), "freezes.rules", "the freezes up to this one come back by more than %d rules", maxRules)
			break
		}
	}
	for i, environment := range c.document.GetEnvironments() {
		field, name := fmt.Sprintf("environments[%d].name", i), environment.GetName()
		gates := 0
		for _, gate := range c.document.GetGates() {
			if emptyOrHas(gate.GetEnvironments(), name) {
				gates++
			}
		}
		if gates > maxGates {
			c.report(field, "gates.many", "%s requires %d gates, and one event holds the verdicts of %d", name, gates, maxGates)
		}
		// Those for a high risk and for no way back may come on top.
		asked := uint32(0)
		var levels []*policyv1.Approvals
		for _, level := range c.document.GetRiskScore().GetLevels() {
			levels = append(levels, level.GetApprovals()...)
		}
		for _, rule := range Quorum(c.document, &releasev1.Request{Environment: name}, true, true, levels...) {
			asked += rule.GetCount()
		}
		if asked > maxAsked {
			c.report(field, "approvals.many", "a release to %s may need %d approvals, and %d are counted", name, asked, maxAsked)
		}
		for _, service := range c.document.GetServices() {
			c.met(field, name, service.GetName())
		}
	}
	for i, person := range c.document.GetPeople() {
		if groups := len(c.index.GroupsOf(person.GetId())); groups > maxGroups {
			c.report(fmt.Sprintf("people[%d].id", i), "groups.many", "%s is in %d groups, and one event holds %d", person.GetId(), groups, maxGroups)
		}
	}
}

// met reports what a release of the service to the environment may meet too much of.
func (c *checker) met(field, environment, service string) {
	freezes := 0
	for _, window := range c.document.GetFreezes() {
		if emptyOrHas(window.GetEnvironments(), environment) && emptyOrHas(window.GetServices(), service) {
			// What step 3 says of it, with its end, or that it is to begin before that
			// of another one.
			freezes += 48 + len("begins 2006-01-02T15:04:05Z") + len(freeze.NotYet) + proto.Size(&releasev1.HoldReason{Subject: window.GetName(), SetBy: window.GetSetBy(), Message: window.GetReason()})
			if window.GetKind() == policyv1.Freeze_KIND_ALLOW {
				freezes += len(freeze.Outside)
			}
		}
	}
	if freezes > maxFreezes {
		c.report(field, "freezes.many", "the freezes of %s to %s may need %d bytes, and one event has %d for them: shorten their reasons, or take out those that are over",
			service, environment, freezes, maxFreezes)
	}
	channels := 0
	for _, channel := range c.document.GetChannels() {
		if emptyOrHas(channel.GetEnvironments(), environment) && emptyOrHas(channel.GetServices(), service) {
			channels++
			if channel.GetFallback() != "" {
				channels++ // It may have a receipt, too.
			}
		}
	}
	if channels > maxChannels {
		c.report(field, "channels.many", "%d channels are told of releases of %s to %s, and one event holds the receipts of %d",
			channels, service, environment, maxChannels)
	}
}
