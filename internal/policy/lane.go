package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ruleLane names the lane of a level of risk.
const ruleLane = "risk.lane"

// declared are what a request says of its own risk. Nothing else knows it, so that a lane with
// fewer approvals rests on what was signed of it.
var declared = []string{"request.risk.areas", "request.risk.data"}

// enters returns the lane of a level that a release goes by, or why it does not; both are
// empty where the level has none for it. A lane asks for fewer approvals, so nothing enters
// for which anything else in the document asks for more, of which something was called out, or
// of which nothing that is signed says what its request declares.
func enters(document *policyv1.Procedure, s procedure.State, level *policyv1.RiskLevel) (lane *policyv1.Lane, why string) {
	lane = level.GetLane()
	if lane == nil || !slices.Contains(lane.GetEnvironments(), s.Request.GetEnvironment()) || !slices.Contains(lane.GetServices(), s.Request.GetService()) {
		return nil, ""
	}
	back := WayBackOf(document, s)
	switch {
	case s.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED:
		return nil, "it is not planned"
	case back.Why != "":
		return nil, "there is no way back: " + back.Why
	case len(HighRiskAreas(document, s.Request)) > 0:
		return nil, "it touches high-risk areas"
	case len(level.GetApprovals()) > 0:
		return nil, "its level asks for more approvals"
	case len(s.Overrides) > 0:
		return nil, "an exception of a freeze was made for it"
	}
	for _, f := range s.Findings {
		if f.GetSeverity() != releasev1.Finding_SEVERITY_OK {
			return nil, "something was called out: " + f.GetRule()
		}
	}
	for _, v := range s.Gates {
		if v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED {
			return nil, fmt.Sprintf("the gate %s was not passed", v.GetGate())
		}
	}
	for _, name := range lane.GetGates() {
		if !backed(document, s, name) {
			return nil, fmt.Sprintf("nothing that is signed says what the request declares: the gate %s did not look at it", name)
		}
	}
	return lane, ""
}

// LaneSigns reports whether whoever approves by a lane has to sign (PD-3.4): where any of those
// whom it spares in the environment had to. They are fewer people, and not a weaker yes.
func LaneSigns(document *policyv1.Procedure, environment string) bool {
	return requireSigned(document, environment) || slices.ContainsFunc(document.GetEnvironments(), func(e *policyv1.Environment) bool {
		return e.GetName() == environment && slices.ContainsFunc(e.GetApprovals(), (*policyv1.Approvals).GetSigned)
	})
}

// backed reports whether a gate is one that the release has to pass, and that it passed with
// evidence: the executor judges that again before the start.
func backed(document *policyv1.Procedure, s procedure.State, name string) bool {
	return slices.ContainsFunc(gatesFor(document, s.Request), func(g *policyv1.Gate) bool { return g.GetName() == name }) &&
		slices.ContainsFunc(s.Gates, func(v *releasev1.GateVerdict) bool {
			return v.GetGate() == name && v.GetStatus() == releasev1.GateVerdict_STATUS_PASSED && len(v.GetEvidence()) > 0
		})
}

// lane checks one of a level: that it stands where little weighs, that there are people who
// approve, and that what the request declares is held against what was signed.
func (c *checker) lane(path string, levels []*policyv1.RiskLevel, i int) {
	lane := levels[i].GetLane()
	if lane == nil {
		return
	}
	path += ".lane"
	switch {
	case i > 0 && levels[i-1].GetLane() == nil:
		c.report(path, "lane.order", "the level below has none: what weighs more would be approved by fewer people")
	case len(levels[i].GetApprovals()) > 0:
		c.report(path, "lane.approvals", "its level asks for approvals besides those of the environment, so that nothing could ever go by it")
	}
	c.known(path+".environments", "environment", lane.GetEnvironments(), c.hasEnvironment)
	c.known(path+".services", "service", lane.GetServices(), c.hasService)
	c.known(path+".gates", "gate", lane.GetGates(), c.hasGate)
	c.approvals(path+".approvals", lane.GetApprovals())
	for j, rule := range lane.GetApprovals() {
		for _, name := range lane.GetEnvironments() {
			if LaneSigns(c.document, name) {
				c.signers(fmt.Sprintf("%s.approvals[%d]", path, j), rule.GetGroup(), int(rule.GetCount()))
			}
		}
	}
	var rules []*policyv1.Rule
	for j, name := range lane.GetGates() {
		gate := c.index.Gate(name)
		if gate == nil {
			continue
		}
		if !demandedOf(gate, lane) {
			c.report(fmt.Sprintf("%s.gates[%d]", path, j), "lane.gate", "the gate %s is not demanded of every planned release there", name)
		}
		rules = append(rules, gate.GetRules()...)
	}
	for _, what := range declared {
		if !slices.ContainsFunc(rules, func(r *policyv1.Rule) bool {
			return strings.Contains(r.GetExpression(), what) && strings.Contains(r.GetExpression(), "attestation.")
		}) {
			c.report(path+".gates", "lane.unbacked", "no rule of these gates holds %s against an attestation: the request alone would decide that fewer people approve it", what)
		}
	}
}

// demandedOf reports whether a gate is demanded of every planned release that a lane is for,
// whatever it declares.
func demandedOf(gate *policyv1.Gate, lane *policyv1.Lane) bool {
	return len(gate.GetAreas()) == 0 && len(gate.GetKinds()) == 0 && emptyOrHas(gate.GetTriggers(), releasev1.Trigger_TRIGGER_PLANNED) &&
		!slices.ContainsFunc(lane.GetEnvironments(), func(e string) bool { return !emptyOrHas(gate.GetEnvironments(), e) })
}

// lanes notes where a release of some weight may be approved by fewer people than before, in
// a lane that was not there or that takes more in.
func (l *loosened) lanes(before, after *policyv1.RiskScore) {
	for _, level := range after.GetLevels() {
		lane, was := level.GetLane(), laneAt(before, level.GetFrom())
		if lane == nil {
			continue
		}
		of := fmt.Sprintf("the lane %s of a release that weighs %d or more", lane.GetName(), level.GetFrom())
		l.lost(true, was != nil, "%s is there", of)
		if was == nil {
			continue
		}
		l.lost(true, among(lane.GetEnvironments(), was.GetEnvironments()), "%s is for more environments", of)
		l.lost(true, among(lane.GetServices(), was.GetServices()), "%s is for more services", of)
		l.lost(true, among(was.GetGates(), lane.GetGates()), "%s rests on fewer gates", of)
		l.quorum(of, was.GetApprovals(), lane.GetApprovals())
		for _, rule := range was.GetApprovals() {
			now := find(lane.GetApprovals(), rule.GetGroup(), (*policyv1.Approvals).GetGroup)
			l.lost(rule.GetSigned() && now != nil, now.GetSigned(), "%s needs no signature of %s", of, rule.GetGroup())
		}
	}
	// A lane also takes in what weighs more where the level above it is gone, or begins later.
	for _, level := range before.GetLevels() {
		if lane := laneAt(after, level.GetFrom()); lane != nil && level.GetLane() == nil {
			l.lost(true, false, "the lane %s is for what weighs %d or more", lane.GetName(), level.GetFrom())
		}
	}
}

// laneAt is the lane of the level that a score reaches.
func laneAt(score *policyv1.RiskScore, points uint32) (lane *policyv1.Lane) {
	for _, level := range score.GetLevels() {
		if points >= level.GetFrom() {
			lane = level.GetLane()
		}
	}
	return lane
}

// among reports whether all of some names are among others.
func among(some, others []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(others, name) })
}
