package policy

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// remediationRows checks that every row of the table is about some failure, comes to its turn,
// and says something that is done then.
func (c *checker) remediationRows() {
	rows := c.document.GetRemediation()
	c.unique("remediation", "name", names(rows, (*policyv1.Remediation).GetName))
	found := len(c.found)
	for i, row := range rows {
		path := fmt.Sprintf("remediation[%d]", i)
		c.situation(path+".when", row.GetWhen())
		c.doable(path, row)
	}
	if len(c.found) > found || len(rows) > 16 {
		return // What is not there fits nothing; of that enough is said.
	}
	first := map[int]bool{}
	for _, kind := range failing(rows, c.document) {
		first[bits.TrailingZeros64(kind)] = true
	}
	for i, row := range rows {
		if !first[i] {
			c.report(fmt.Sprintf("remediation[%d]", i), "remediation.unreachable",
				"no failure comes to the row %s: there is none that it fits and none of those before it does", row.GetName())
		}
	}
}

// situation checks that what a row is about can be.
func (c *checker) situation(path string, w *policyv1.Situation) {
	for i, cause := range w.GetCauses() {
		if !slices.Contains(procedure.Failures, cause) {
			c.report(fmt.Sprintf("%s.causes[%d]", path, i), "remediation.cause", "%s is no failure that the machine would answer with the way back", cause)
		}
	}
	if slices.Equal(w.GetCauses(), []releasev1.Cause{releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE}) && c.document.GetEscalation().GetAskWhenInconclusive() {
		c.report(path+".causes", "remediation.never", "people are asked about it anyway: escalation.ask_when_inconclusive")
	}
	c.known(path+".environments", "environment", w.GetEnvironments(), c.hasEnvironment)
	c.known(path+".services", "service", w.GetServices(), c.hasService)
	enums(c, path+".triggers", w.GetTriggers(), releasev1.Trigger_name)
	c.known(path+".lanes", "lane", w.GetLanes(), func(name string) bool {
		return slices.ContainsFunc(c.document.GetRiskScore().GetLevels(), func(l *policyv1.RiskLevel) bool { return l.GetLane().GetName() == name && name != "" })
	})
	if len(w.GetLanes()) > 0 && !emptyOrHas(w.GetTriggers(), releasev1.Trigger_TRIGGER_PLANNED) {
		c.report(path+".lanes", "remediation.never", "nothing goes by a lane but what is planned")
	}
	if w.GetRiskFrom() > 0 && c.document.GetRiskScore() == nil {
		c.report(path+".risk_from", "remediation.never", "nothing weighs anything without a risk_score")
	}
}

// doable checks that what a row says can be done, and has an end.
func (c *checker) doable(path string, row *policyv1.Remediation) {
	asks := row.GetThen() == releasev1.Remedy_ACTION_ASK
	switch {
	case asks && row.GetAsk() == nil:
		c.report(path+".ask", "remediation.ask", "whom, for how long, and what if nobody answers?")
	case !asks && row.GetAsk() != nil:
		c.report(path+".ask", "remediation.ask", "nobody is asked with %s", row.GetThen())
	}
	back := row.GetThen() == releasev1.Remedy_ACTION_ROLL_BACK || asks && row.GetAsk().GetOtherwise() == releasev1.Remedy_ACTION_ROLL_BACK
	switch w := row.GetWhen(); {
	case back && slices.Equal(w.GetTriggers(), []releasev1.Trigger{releasev1.Trigger_TRIGGER_ROLLBACK}):
		c.report(path+".then", "remediation.by_itself", "a rollback is never rolled back by itself")
	case back && len(w.GetData()) > 0 && !slices.ContainsFunc(w.GetData(), func(d releasev1.Risk_Data) bool {
		return d != releasev1.Risk_DATA_IRREVERSIBLE && d != releasev1.Risk_DATA_NOT_STATED
	}):
		c.report(path+".then", "remediation.by_itself", "data that cannot be changed back never goes back by itself")
	}
	if row.GetLookBeside() && !emptyOrHas(row.GetWhen().GetCauses(), releasev1.Cause_CAUSE_VALIDATION_FAILED) {
		c.report(path+".look_beside", "remediation.beside", "only what failed validation is looked for elsewhere: CAUSE_VALIDATION_FAILED")
	}
}

// remediation notes where what failed stays longer than before, or needs somebody's decision
// to go back. That is less: by itself the procedure took it away. That it goes back without
// anybody being asked is no less, because it goes back to what was approved before it.
func (l *loosened) remediation(before, after *policyv1.Procedure) {
	was, now := before.GetRemediation(), after.GetRemediation()
	if len(was) > 16 || len(now) > 16 {
		return // No such document takes effect.
	}
	both := append(slices.Clip(was), now...)
	row := func(rows []*policyv1.Remediation, kind uint64) *policyv1.Remediation {
		if i := bits.TrailingZeros64(kind); i < len(rows) {
			return rows[i]
		}
		return nil
	}
	var said []string
	for _, kind := range failing(both, before, after) {
		w, n := row(was, kind), row(now, kind>>len(was))
		what := ""
		switch {
		case stays(n) > stays(w):
			what = [...]string{"goes back at once", "is asked about before it goes back", "is asked about, and stays", "stays until people decide"}[stays(n)]
		case stays(n) == 1 && stays(w) == 1 && n.GetAsk().GetWithin().AsDuration() > w.GetAsk().GetWithin().AsDuration():
			what = "is asked about for " + n.GetAsk().GetWithin().AsDuration().String() + " before it goes back"
		case stays(n) < 3 && n.GetLookBeside() && !w.GetLookBeside():
			what = "stays where targets fail that were not changed"
		}
		if text := fmt.Sprintf("what failed %s, by the row %s instead of %s", what, called(n), called(w)); what != "" && !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	for _, text := range said {
		l.lost(true, false, "%s", text)
	}
}

// stays is how much a row leaves what failed where it is: 0 not at all, 3 without an end.
func stays(row *policyv1.Remediation) int {
	switch {
	case row == nil || row.GetThen() == releasev1.Remedy_ACTION_ROLL_BACK:
		return 0
	case row.GetThen() == releasev1.Remedy_ACTION_ASK && row.GetAsk().GetOtherwise() == releasev1.Remedy_ACTION_ROLL_BACK:
		return 1
	case row.GetThen() == releasev1.Remedy_ACTION_ASK:
		return 2
	}
	return 3
}

func called(row *policyv1.Remediation) string {
	if row == nil {
		return "none"
	}
	return row.GetName()
}
