package risk

import (
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of what is found in histories other than the release's own, besides those of
// procedure.
const (
	holdReviewOverdue  = "review.overdue"
	holdDependencyBusy = "dependency.busy"
)

// elsewhere are the rules of everything that Seen can hold.
var elsewhere = []string{
	procedure.HoldTargetBusy, procedure.HoldTargetChanged, holdReviewOverdue, holdDependencyBusy, ruleFiring, ruleUnknown, ruleQuota,
}

// aroundAlerts begins what is said of an alert rule that an emergency goes around.
const aroundAlerts = "alert rule "

// Seen is what histories other than the release's own, and sources of alerts, said when it
// was judged: of its targets, the reviews that are owed, the services that it depends on,
// the emergencies before it, and the alerts.
type Seen struct {
	Holds    []*releasev1.HoldReason
	Findings []*releasev1.Finding
	Bypassed []string
}

// SeenIn is what an end of step 3 says that it had seen elsewhere. An event that holds
// names no findings, and one that refuses names no holds; neither depends on them.
func SeenIn(e *releasev1.Event) Seen {
	findings := slices.Concat(e.GetRiskCleared().GetFindings(), e.GetRiskRefused().GetFindings())
	return Seen{
		Holds: slices.DeleteFunc(slices.Clone(e.GetHeld().GetReasons()), func(h *releasev1.HoldReason) bool {
			return !slices.Contains(elsewhere, h.GetRule())
		}),
		Findings: slices.DeleteFunc(findings, func(f *releasev1.Finding) bool { return !slices.Contains(elsewhere, f.GetRule()) }),
		Bypassed: slices.DeleteFunc(slices.Clone(e.GetRiskCleared().GetBypassed()), func(b string) bool { return !strings.HasPrefix(b, aroundAlerts) }),
	}
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
	l.facts.Findings = append(l.facts.Findings, seen.Findings...)
	l.facts.Bypassed = append(l.facts.Bypassed, seen.Bypassed...)
	if slices.ContainsFunc(seen.Findings, func(f *releasev1.Finding) bool {
		return f.GetRule() == ruleQuota && f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING
	}) {
		l.over = policy.OverQuota(index.Document(), state.Request.GetEnvironment())
	}
	return l.conclude(), nil
}
