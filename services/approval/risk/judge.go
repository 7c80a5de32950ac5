package risk

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
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
var elsewhere = []string{procedure.HoldTargetBusy, procedure.HoldTargetChanged, holdReviewOverdue, holdDependencyBusy}

// Seen is what histories other than the release's own said when it was judged: of its
// targets, the reviews that are owed, and the services that it depends on.
type Seen struct {
	Holds    []*releasev1.HoldReason
	Findings []*releasev1.Finding
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
	}
}

// Judge is the second half of step 3 without its reading: freezes, the way back and the
// quorum at that time, together with what was seen elsewhere. It depends on its
// arguments alone, and is what a replay calls, too (N-01). It fails where the document
// has a freeze that cannot be read.
func Judge(index *policy.Index, state procedure.State, seen Seen, now time.Time) (*releasev1.Event, error) {
	j := &judgment{index: index, state: state, now: now}
	j.until = procedure.NextLook(state, index.Document().GetDeadlines().GetRecheck().AsDuration(), now)
	if err := j.freezes(); err != nil {
		return nil, err
	}
	j.facts.Holds = append(j.facts.Holds, seen.Holds...)
	j.facts.Findings = append(j.facts.Findings, seen.Findings...)
	j.wayBack()
	j.quorum()
	j.facts.Until = j.until
	j.facts.ApproveBy = now.Add(index.Document().GetDeadlines().GetApproveWithin().AsDuration())
	j.facts.CalendarDigest = state.ProcedureDigest
	return procedure.DecideRisk(state, j.facts), nil
}

// judgment is one evaluation.
type judgment struct {
	index *policy.Index
	state procedure.State
	now   time.Time
	facts procedure.RiskFacts
	until time.Time
	// unrecoverable says that the machine could not go back by itself.
	unrecoverable bool
}

func (j *judgment) find(severity releasev1.Finding_Severity, rule, format string, args ...any) {
	j.facts.Findings = append(j.facts.Findings, &releasev1.Finding{
		Rule: rule, Severity: severity, Message: fmt.Sprintf(format, args...),
	})
}

// freezes holds the release until the earliest feasible start (PD-3.1, PD-3.2). An
// emergency goes around those freezes that say so.
func (j *judgment) freezes() error {
	r := j.state.Request
	scope := freeze.ScopeOf(j.index.Document(), r)
	held, bypassed := freeze.Bypassable(j.index.Document().GetFreezes(), j.state.Emergency())
	v, err := freeze.Evaluate(held, j.now, scope)
	if err != nil && !errors.Is(err, freeze.ErrFrozen) {
		return err
	}
	j.facts.Holds = append(j.facts.Holds, v.Holds()...)
	if len(v.Reasons) > 0 {
		j.until = v.Until
	} else {
		j.find(releasev1.Finding_SEVERITY_OK, "freeze", "no freeze holds")
	}
	around, err := freeze.Evaluate(bypassed, j.now, scope)
	if err != nil && !errors.Is(err, freeze.ErrFrozen) {
		return err
	}
	for _, h := range around.Reasons {
		j.facts.Bypassed = append(j.facts.Bypassed, "freeze "+h.GetSubject())
	}
	return nil
}

// wayBack judges the readiness of the rollback (PD-3.5). Without a way back the
// request has to say what is done instead, and more people have to agree. A request to
// roll back needs neither, unless what its targets carry could not be placed again.
func (j *judgment) wayBack() {
	ok, why := procedure.HasWayBack(j.state, procedure.Targets(j.state.Request))
	if ok {
		j.find(releasev1.Finding_SEVERITY_OK, "rollback.ready", "every target can go back to what it carries")
		return
	}
	j.unrecoverable = true
	switch {
	case j.state.Request.GetRollbackPlan().GetRecovery() != "":
		j.find(releasev1.Finding_SEVERITY_WARNING, "rollback.unavailable",
			"no way back (%s); the recovery plan says what is done instead", why)
	case j.state.Emergency():
		j.facts.Bypassed = append(j.facts.Bypassed, "rollback readiness: "+why)
		j.find(releasev1.Finding_SEVERITY_WARNING, "rollback.unavailable", "no way back (%s), and no recovery plan", why)
	default:
		j.find(releasev1.Finding_SEVERITY_BLOCKING, "rollback.unavailable",
			"no way back (%s), and rollback_plan.recovery does not say what is done instead", why)
	}
}

// quorum says which approvals are needed. In an emergency one person of the
// emergency group is enough, and the approvals that would have been needed are
// listed as bypassed.
func (j *judgment) quorum() {
	doc, r := j.index.Document(), j.state.Request
	high := policy.HighRiskAreas(doc, r)
	if len(high) > 0 {
		j.find(releasev1.Finding_SEVERITY_WARNING, "risk.high", "touches high-risk areas: %v", high)
	}
	normal := policy.Quorum(doc, r, j.unrecoverable, len(high) > 0)
	if !j.state.Emergency() {
		j.facts.Quorum = normal
		return
	}
	j.facts.Quorum = []*releasev1.QuorumRule{{Group: doc.GetEmergency().GetGroup(), Count: 1}}
	for _, q := range normal {
		j.facts.Bypassed = append(j.facts.Bypassed, fmt.Sprintf("%d approval(s) by %s", q.GetCount(), q.GetGroup()))
	}
}
