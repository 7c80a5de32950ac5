package policy

import (
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxWeeks bounds what a target weighs that nothing was released to for long.
const maxWeeks = 52

// Score weighs the recorded facts of a release at that time, and returns the level that
// the sum reaches (PD-3.4). Both are nil where the document weighs nothing; the level is
// nil below the lowest.
func Score(document *policyv1.Procedure, s procedure.State, unrecoverable bool, now time.Time) (*releasev1.RiskScore, *policyv1.RiskLevel) {
	if document.GetRiskScore() == nil {
		return nil, nil
	}
	w, out := document.GetRiskScore().GetWeights(), &releasev1.RiskScore{}
	weigh := func(fact string, weight uint32, count int) {
		if weight == 0 || count <= 0 {
			return
		}
		in := &releasev1.RiskInput{Fact: fact, Count: uint32(count), Points: weight * uint32(count)} //nolint:gosec // Counts are bounded by the request.
		out.Inputs, out.Score = append(out.Inputs, in), out.GetScore()+in.GetPoints()
	}
	back, weeks, first := carried(s, now)
	weigh("target", w.GetTarget(), len(procedure.Targets(s.Request)))
	weigh("dependency", w.GetDependency(), dependencies(document, s.Request.GetService()))
	weigh("high_risk_area", w.GetHighRiskArea(), len(HighRiskAreas(document, s.Request)))
	weigh("data_reversible", w.GetDataReversible(), one(s.Request.GetRisk().GetData() == releasev1.Risk_DATA_REVERSIBLE))
	weigh("data_irreversible", w.GetDataIrreversible(), one(lost(s.Request.GetRisk().GetData())))
	weigh("no_way_back", w.GetNoWayBack(), one(unrecoverable))
	weigh("emergency", w.GetEmergency(), one(s.Emergency()))
	weigh("rolled_back", w.GetRolledBack(), back)
	weigh("week", w.GetWeek(), weeks)
	weigh("first_release", w.GetFirstRelease(), one(first))
	weighMore(document, s, now, weigh)
	var reached *policyv1.RiskLevel
	for _, level := range document.GetRiskScore().GetLevels() {
		if out.GetScore() >= level.GetFrom() {
			reached = level
		}
	}
	out.Level = reached.GetFrom()
	return out, reached
}

// carried is what step 2 found of the targets: how many versions were taken back from the
// one with the most, how many whole weeks the one waited that waited longest, and whether
// nothing was ever released to one of them.
func carried(s procedure.State, now time.Time) (back, weeks int, first bool) {
	for _, t := range s.Targets {
		back = max(back, len(t.GetState().GetRolledBack()))
		deployed := t.GetState().GetDeployed()
		if deployed == nil {
			first = true
			continue
		}
		if since := deployed.GetTime(); since != nil {
			weeks = max(weeks, min(maxWeeks, int(now.Sub(since.AsTime())/(7*24*time.Hour))))
		}
	}
	return back, weeks, first
}

func dependencies(document *policyv1.Procedure, service string) int {
	for _, s := range document.GetServices() {
		if s.GetName() == service {
			return len(s.GetDependencies())
		}
	}
	return 0
}

// lost reports whether data is changed for good, as far as anybody can say.
func lost(data releasev1.Risk_Data) bool {
	return data == releasev1.Risk_DATA_IRREVERSIBLE || data == releasev1.Risk_DATA_NOT_STATED
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// score checks that levels rise and that those who are asked for are there.
func (c *checker) score() {
	before := uint32(0)
	for i, level := range c.document.GetRiskScore().GetLevels() {
		path := fmt.Sprintf("risk_score.levels[%d]", i)
		if level.GetFrom() <= before {
			c.report(path+".from", "level.order", "levels stand lowest first, and %d is not above %d", level.GetFrom(), before)
		}
		before = level.GetFrom()
		c.approvals(path+".approvals", level.GetApprovals())
		c.lane(path, c.document.GetRiskScore().GetLevels(), i)
	}
	c.workingHours()
}
