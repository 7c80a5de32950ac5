package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/condition"
	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func (c *checker) gates() {
	gates := c.document.GetGates()
	c.unique("gates", "name", names(gates, (*policyv1.Gate).GetName))
	for i, gate := range gates {
		path := fmt.Sprintf("gates[%d]", i)
		c.known(path+".environments", "environment", gate.GetEnvironments(), c.hasEnvironment)
		enums(c, path+".kinds", gate.GetKinds(), releasev1.ArtifactKind_name)
		enums(c, path+".triggers", gate.GetTriggers(), releasev1.Trigger_name)
		c.words(path+".areas", gate.GetAreas())
		c.unique(path+".values", "", gate.GetValues())
		switch {
		case gate.GetField() != "" && len(gate.GetValues()) == 0:
			c.report(path+".values", "gate.values", "the field %s must hold one of some values; none is given", gate.GetField())
		case gate.GetField() == "" && len(gate.GetValues()) > 0:
			c.report(path+".field", "gate.field", "values are given, and no field that must hold one of them")
		}
		if age := gate.GetMaxAge(); age != nil && age.AsDuration() <= 0 {
			c.report(path+".max_age", "gate.max_age", "must be longer than nothing")
		}
		if group := gate.GetReviewerGroup(); group != "" {
			c.approvers(path+".reviewer_group", group, int(max(gate.GetMinReviewers(), 1)))
			if gate.GetMinReviewers() == 0 {
				c.report(path+".min_reviewers", "gate.reviewers", "so many reviewers of the group %s are needed: how many?", group)
			}
		}
		c.rules(path+".rules", gate.GetRules())
		c.waivable(path, gate)
		if !slices.ContainsFunc(c.document.GetKeys(), func(key *policyv1.Key) bool {
			return slices.Contains(key.GetGates(), gate.GetName())
		}) && !slices.ContainsFunc(c.document.GetSigstore().GetIdentities(), func(identity *policyv1.Identity) bool {
			return slices.Contains(identity.GetGates(), gate.GetName())
		}) {
			c.report(path+".name", "gate.key", "no key and no identity is trusted for the gate %s: nothing could ever satisfy it", gate.GetName())
		}
	}
}

// rules compiles every rule, so that a slip is found before a release depends on it.
func (c *checker) rules(path string, rules []*policyv1.Rule) {
	c.unique(path, "name", names(rules, (*policyv1.Rule).GetName))
	for i, rule := range rules {
		if _, err := condition.Compile(rule.GetExpression()); err != nil {
			c.report(fmt.Sprintf("%s[%d].expression", path, i), "rule.expression", "%v", err)
		}
	}
}

func (c *checker) areas() {
	c.words("high_risk_areas", c.document.GetHighRiskAreas())
}

func (c *checker) channels() {
	channels := c.document.GetChannels()
	c.unique("channels", "name", names(channels, (*policyv1.Channel).GetName))
	for i, channel := range channels {
		path := fmt.Sprintf("channels[%d]", i)
		enums(c, path+".occasions", channel.GetOccasions(), releasev1.Occasion_name)
		c.known(path+".environments", "environment", channel.GetEnvironments(), c.hasEnvironment)
		c.known(path+".services", "service", channel.GetServices(), c.hasService)
		c.known(path+".groups", "rung", channel.GetGroups(), func(name string) bool {
			return slices.ContainsFunc(c.document.GetEscalation().GetRungs(), func(rung *policyv1.Rung) bool { return rung.GetGroup() == name })
		})
		if fallback := channel.GetFallback(); fallback != "" {
			stand := slices.IndexFunc(channels, func(other *policyv1.Channel) bool { return other.GetName() == fallback })
			switch {
			case stand < 0:
				c.report(path+".fallback", "channel.unknown", "there is no channel %q", fallback)
			case fallback == channel.GetName() || channels[stand].GetFallback() != "":
				c.report(path+".fallback", "channel.fallback", "the channel %s has to be another one, without a fallback of its own", fallback)
			}
		}
		c.quiet(path, channel)
		if len(channel.GetGroups()) > 0 && !slices.Contains(channel.GetOccasions(), releasev1.Occasion_OCCASION_ESCALATION) {
			c.report(path+".groups", "channel.groups", "it serves groups that are called, and is not told of OCCASION_ESCALATION")
		}
	}
}

// quiet checks that whoever has quiet hours can be told at some time.
func (c *checker) quiet(path string, channel *policyv1.Channel) {
	// Times are in the same order every week, whichever it is.
	at := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
	understood := true
	for i, hours := range channel.GetQuietHours() {
		if _, err := freeze.QuietUntil([]*policyv1.QuietHours{hours}, at); err != nil && !errors.Is(err, freeze.ErrAlwaysQuiet) {
			c.report(fmt.Sprintf("%s.quiet_hours[%d]", path, i), "quiet_hours", "%v", err)
			understood = false
		}
	}
	if _, err := freeze.QuietUntil(channel.GetQuietHours(), at); understood && err != nil {
		c.report(path+".quiet_hours", "quiet_hours", "nobody could ever be told by the channel %s: %v", channel.GetName(), err)
	}
}

// emergency checks that whoever authorizes alone can be reviewed by somebody
// else (PD-A.5).
func (c *checker) emergency() {
	lane := c.document.GetEmergency()
	if lane == nil {
		return
	}
	c.onCallToo("emergency.group", lane.GetGroup(), 1)
	c.approvers("emergency.review_group", lane.GetReviewGroup(), 1)
	reviewers := c.index.People(lane.GetReviewGroup())
	if len(reviewers) == 1 && slices.Contains(c.index.Ever(lane.GetGroup()), reviewers[0]) {
		c.report("emergency.review_group", "review.self", "%s may authorize an emergency and is the only one who could review it", reviewers[0])
	}
	if lane.GetGrace() != nil && lane.GetGrace().AsDuration() < 0 {
		c.report("emergency.grace", "duration.negative", "must not be negative")
	}
	c.approvals("emergency.quota.over", lane.GetQuota().GetOver())
	for i, rule := range lane.GetQuota().GetOver() {
		if rule.GetGroup() == lane.GetGroup() {
			// One person would be asked for twice, and be counted once.
			c.onCallToo(fmt.Sprintf("emergency.quota.over[%d].group", i), rule.GetGroup(), int(rule.GetCount())+1)
		}
	}
	c.heard("emergency.group", releasev1.Occasion_OCCASION_EMERGENCY, "anybody", func(*policyv1.Channel) bool { return true })
}

// escalation checks that every rung reaches a person, and by some channel.
func (c *checker) escalation() {
	for i, rung := range c.document.GetEscalation().GetRungs() {
		field := fmt.Sprintf("escalation.rungs[%d].group", i)
		switch {
		case rung.GetGroup() == "":
		case !c.hasGroup(rung.GetGroup()):
			c.report(field, "group.unknown", "there is no group %q", rung.GetGroup())
		case len(c.index.Ever(rung.GetGroup())) == 0:
			c.report(field, "group.small", "nobody in the group %s can be called", rung.GetGroup())
		default:
			c.heard(field, releasev1.Occasion_OCCASION_ESCALATION, "the group "+rung.GetGroup(), func(channel *policyv1.Channel) bool {
				return emptyOrHas(channel.GetGroups(), rung.GetGroup())
			})
		}
	}
}
