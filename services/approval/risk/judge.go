package risk

import (
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of what is found in histories other than the release's own, besides those of
// procedure.
const holdReviewOverdue = "review.overdue"

// elsewhere are the rules of everything that Seen can hold.
var elsewhere = []string{
	procedure.HoldTargetBusy, procedure.HoldTargetChanged, holdReviewOverdue, procedure.HoldDocumentUnreviewed, inflight.RuleDependency, inflight.RuleDependent, incident.Rule, ruleQuota,
}

// byAlerts are those of what follows from the answers of sources.
var byAlerts = []string{alerts.RuleFiring, alerts.RuleUnknown}

// aroundAlerts begins what is said of an alert rule that an emergency goes around.
const aroundAlerts = "alert rule "

// Seen is what histories other than the release's own said when it was judged: of its
// targets, the reviews that are owed, the services that it depends on and that depend on it,
// open incidents and the emergencies before it; and what sources of alerts answered.
type Seen struct {
	Holds    []*releasev1.HoldReason
	Findings []*releasev1.Finding
	// Bypassed are alert rules that an emergency went around, of events of before the
	// answers were named in them.
	Bypassed []string
	// Answers are those of the sources of alerts. Nil: the event names none, and what
	// follows from them is among the rest as it was found.
	Answers []Answer
}

// Asked is what an end of step 3 says that sources of alerts said.
func Asked(e *releasev1.Event) []*releasev1.AlertAnswer {
	return slices.Concat(e.GetRiskCleared().GetAlerts(), e.GetRiskRefused().GetAlerts(), e.GetHeld().GetAlerts())
}

// SeenIn is what an end of step 3 says that it had seen elsewhere. An event that holds
// names no findings, and one that refuses names no holds; neither depends on them. Of the
// answers that it names only the records are there: their alerts are for the caller to read.
func SeenIn(e *releasev1.Event) Seen {
	var seen Seen
	for _, a := range Asked(e) {
		seen.Answers = append(seen.Answers, Answer{Record: a})
	}
	taken := elsewhere
	if seen.Answers == nil {
		taken = slices.Concat(elsewhere, byAlerts)
		seen.Bypassed = slices.DeleteFunc(slices.Clone(e.GetRiskCleared().GetBypassed()), func(b string) bool { return !strings.HasPrefix(b, aroundAlerts) })
	}
	seen.Holds = slices.DeleteFunc(slices.Clone(e.GetHeld().GetReasons()), func(h *releasev1.HoldReason) bool { return !slices.Contains(taken, h.GetRule()) })
	seen.Findings = slices.DeleteFunc(slices.Concat(e.GetRiskCleared().GetFindings(), e.GetRiskRefused().GetFindings()), func(f *releasev1.Finding) bool {
		return !slices.Contains(taken, f.GetRule())
	})
	return seen
}

// Unjudged returns the alert rules that concern the release and of which an event that
// clears it says nothing.
func Unjudged(index *policy.Index, state procedure.State, cleared *releasev1.RiskCleared) []string {
	var out []string
	for _, rule := range index.Document().GetAlerts() {
		if cleared != nil && alerts.Applies(rule, state.Request) && !slices.ContainsFunc(cleared.GetFindings(), func(f *releasev1.Finding) bool {
			return slices.Contains(byAlerts, f.GetRule()) && f.GetSubject() == rule.GetName()
		}) {
			out = append(out, rule.GetName())
		}
	}
	return out
}

// Judge is the second half of step 3 without its reading: freezes, the way back, the
// weight and the quorum at that time, together with what was seen elsewhere. It depends on
// its arguments alone, and is what a replay calls, too (N-01). It fails where the document
// has a freeze that cannot be read.
func Judge(index *policy.Index, state procedure.State, seen Seen, now time.Time) (*releasev1.Event, error) {
	f, err := facts(index, state, seen, now)
	if err != nil {
		return nil, err
	}
	return procedure.DecideRisk(state, f), nil
}

// facts are those of the release's own record and of the document, and what was seen
// elsewhere behind those of the freezes.
func facts(index *policy.Index, state procedure.State, seen Seen, now time.Time) (procedure.RiskFacts, error) {
	l := look{index: index, state: state, now: now}
	l.until = procedure.NextLook(state, index.Document().GetDeadlines().GetRecheck().AsDuration(), now)
	if err := l.freezes(); err != nil {
		return procedure.RiskFacts{}, err
	}
	l.facts.Holds = append(l.facts.Holds, seen.Holds...)
	quota := slices.IndexFunc(seen.Findings, func(f *releasev1.Finding) bool { return f.GetRule() == ruleQuota })
	if quota < 0 {
		quota = len(seen.Findings)
	}
	l.facts.Findings = append(l.facts.Findings, seen.Findings[:quota]...)
	l.facts.Bypassed = slices.Concat(l.facts.Bypassed, passed(state, seen.Findings), seen.Bypassed)
	if l.answers = seen.Answers; l.answers != nil {
		if err := l.firing(); err != nil {
			return procedure.RiskFacts{}, err
		}
	}
	l.facts.Findings = append(l.facts.Findings, seen.Findings[quota:]...)
	l.tooMany = slices.ContainsFunc(seen.Findings, func(f *releasev1.Finding) bool {
		return f.GetRule() == ruleQuota && f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING
	})
	return l.conclude(), nil
}
