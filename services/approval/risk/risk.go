// Package risk is the shell of the second half of step 3: freezes, other releases
// in flight, alerts, review debts and the way back (PD-3.1 to PD-3.5).
//
// It wakes on change_previewed and when a hold is over, and appends risk_cleared,
// held or risk_refused. A hold holds nothing: the release is looked at again at
// the earliest feasible start, or, where that is not known, after the recheck time
// of the procedure document, and later and later as the wait grows
// (procedure.Patience): a history that only says "not yet" must not fill up.
package risk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Store reads histories and standings.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
}

// New returns the step.
func New(procedures Procedures, store Store, watch Watch) reactor.Step {
	s := shell{procedures, store, watch}
	return reactor.Step{ID: procedure.StepRisk, Act: s.act}
}

type shell struct {
	procedures Procedures
	store      Store
	watch      Watch
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	facts, unkept, err := s.facts(ctx, t.State, t.Now)
	if err != nil {
		return nil, err
	}
	event := procedure.DecideRisk(t.State, facts)
	event.Unkept = unkept
	return []eventstore.Draft{t.Draft(event)}, nil
}

// Facts is everything that the step looks at for a release at that time. It stores
// nothing: whoever asks what would come of a release asks here as well.
func Facts(ctx context.Context, procedures Procedures, store Store, watch Watch, s procedure.State, now time.Time) (procedure.RiskFacts, error) {
	facts, _, err := shell{procedures, store, watch}.facts(ctx, s, now)
	return facts, err
}

// facts is Facts, and what of it could not be kept.
func (s shell) facts(ctx context.Context, state procedure.State, now time.Time) (procedure.RiskFacts, []*releasev1.UnkeptEvidence, error) {
	index, err := s.procedures.ByDigest(ctx, state.ProcedureDigest)
	if err != nil {
		return procedure.RiskFacts{}, nil, err
	}
	l := look{shell: s, index: index, state: state, now: now}
	for _, look := range []func(context.Context) error{l.targets, l.debts, l.unreviewed, l.neighbors, l.incidents, l.alerts, l.quotaUsed} {
		if err := look(ctx); err != nil {
			return procedure.RiskFacts{}, nil, err
		}
	}
	found, err := facts(index, state, Seen{Holds: l.facts.Holds, Findings: l.facts.Findings, Answers: l.answers}, now)
	return found, alerts.Unkept(l.answers), err
}

// ByDocument is those of the facts that depend on the release's own record and on a
// document alone: what the document makes of it at any time, also long afterwards.
func ByDocument(index *policy.Index, s procedure.State, now time.Time) (procedure.RiskFacts, error) {
	l := look{index: index, state: s, now: now}
	if err := l.freezes(); err != nil {
		return procedure.RiskFacts{}, err
	}
	return l.conclude(), nil
}

// conclude judges the way back and says which approvals are needed.
func (l *look) conclude() procedure.RiskFacts {
	l.wayBack()
	l.score()
	l.quorum()
	l.facts.Until = l.until
	l.facts.ApproveBy = l.now.Add(l.index.Document().GetDeadlines().GetApproveWithin().AsDuration())
	l.facts.RemindAt = remindAt(l.index.Document().GetDeadlines(), l.facts.ApproveBy, l.state.Requested.GetStartBy().AsTime(), l.now)
	l.facts.CalendarDigest = l.state.ProcedureDigest
	l.facts.Announced = l.index.Announced(l.state.Request, l.facts.Score)
	return l.facts
}

// remindAt is when people are reminded of approvals: so long before the release expires
// without them as the document says; zero where it does not, or that has passed.
func remindAt(d *policyv1.Deadlines, approveBy, startBy, now time.Time) time.Time {
	if d.GetRemindBefore() == nil {
		return time.Time{}
	}
	if startBy.Before(approveBy) {
		approveBy = startBy
	}
	if at := approveBy.Add(-d.GetRemindBefore().AsDuration()); at.After(now) {
		return at
	}
	return time.Time{}
}

// look gathers what histories other than the release's own say.
type look struct {
	shell
	index *policy.Index
	state procedure.State
	now   time.Time
	facts procedure.RiskFacts
	until time.Time
	// answers are those of the sources of alerts.
	answers []Answer
	// unrecoverable says that the machine could not go back by itself.
	unrecoverable bool
	// unagreed says that more people have to agree because of that.
	unagreed bool
	// tooMany says that it is an emergency beyond the quota, which takes more approvals.
	tooMany bool
	// level is what the score demands; nil for nothing.
	level *policyv1.RiskLevel
}

func (l *look) hold(h *releasev1.HoldReason) { l.facts.Holds = append(l.facts.Holds, h) }

func (l *look) find(severity releasev1.Finding_Severity, rule, subject, format string, args ...any) {
	l.facts.Findings = append(l.facts.Findings, &releasev1.Finding{
		Rule: rule, Severity: severity, Subject: subject, Message: fmt.Sprintf(format, args...),
	})
}

// freezes holds the release until the earliest feasible start (PD-3.1, PD-3.2). An
// emergency goes around those freezes that say so, and any release around those of which
// somebody made an exception (N-14).
func (l *look) freezes() error {
	all := l.index.Document().GetFreezes()
	if len(all) > 0 {
		l.facts.ZoneData = freeze.ZoneData()
	}
	j, err := l.index.Freezes(l.state, l.now)
	if err != nil {
		return err
	}
	for _, h := range j.Holds() {
		l.hold(h)
	}
	if len(j.Reasons) > 0 {
		l.until = j.Until
	} else {
		l.find(releasev1.Finding_SEVERITY_OK, "freeze", "", "no freeze holds")
	}
	for _, h := range j.Bypassed {
		l.facts.Bypassed = append(l.facts.Bypassed, "freeze "+h.GetSubject())
	}
	for _, f := range all {
		o := freeze.Exception(l.state.Overrides, f, l.index.Decides)
		if o == nil || !slices.ContainsFunc(j.Overridden, func(h *releasev1.HoldReason) bool { return h.GetSubject() == f.GetName() }) {
			continue
		}
		l.find(releasev1.Finding_SEVERITY_WARNING, "freeze.overridden", f.GetName(), "the freeze would hold it; %s made an exception (%s): %.256s", o.Person, o.Ticket, o.Reason)
	}
	return nil
}

// targets holds the release while another one has a target, and sends it back to
// step 2 where another one had it in the meantime (PD-3.3).
func (l *look) targets(ctx context.Context) error {
	for _, id := range procedure.Targets(l.state.Request) {
		t, err := standing.ReadTarget(ctx, l.store, id)
		if err != nil {
			return err
		}
		held, err := l.held(ctx, id, t)
		if err != nil {
			return err
		}
		switch {
		case held:
			l.hold(&releasev1.HoldReason{
				Rule: procedure.HoldTargetBusy, Subject: t.LockedBy,
				Message: fmt.Sprintf("target %s is held by release %s", id, t.LockedBy),
			})
		case t.State.GetGeneration() != l.state.Scoped(id).GetState().GetGeneration():
			l.hold(&releasev1.HoldReason{
				Rule: procedure.HoldTargetChanged, Subject: id,
				Message: fmt.Sprintf("target %s was changed since it was looked at; it is looked at again", id),
			})
		}
	}
	return nil
}

// held reports whether another release has the target, with a lock that counts: the
// executor takes others over when it claims, and the release must get that far.
func (l *look) held(ctx context.Context, id string, t standing.Target) (bool, error) {
	return queue.Held(ctx, l.store, id, t, l.state.Release)
}

// debts holds a normal release of a service for which a review is overdue (PD-A.5).
func (l *look) debts(ctx context.Context) error {
	r := l.state.Request
	s, err := standing.ReadService(ctx, l.store, r.GetEnvironment(), r.GetService())
	if err != nil {
		return err
	}
	overdue := s.Overdue(l.now)
	if len(overdue) == 0 {
		return nil
	}
	normal, err := l.normal(ctx)
	if err != nil {
		return err
	}
	for _, d := range overdue {
		if !normal {
			l.facts.Findings = append(l.facts.Findings, &releasev1.Finding{
				Rule: holdReviewOverdue, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: d.GetRelease(),
				Message: fmt.Sprintf("the review of emergency %s is overdue", d.GetRelease()),
			})
			continue
		}
		l.hold(&releasev1.HoldReason{
			Rule: holdReviewOverdue, Subject: d.GetRelease(),
			Message: fmt.Sprintf("the review of emergency %s was due %s; it blocks normal releases of %s until it is done",
				d.GetRelease(), d.GetDue().AsTime().UTC().Format(time.RFC3339), r.GetService()),
		})
	}
	return nil
}

// unreviewed holds a normal release while a procedure document that took effect around the
// change control waits for its review for too long (PD-9.4).
func (l *look) unreviewed(ctx context.Context) error {
	active, err := standing.ReadProcedure(ctx, l.store, l.index.Document().GetId())
	if err != nil {
		return err
	}
	reasons := active.Unreviewed(l.now)
	if len(reasons) == 0 {
		return nil
	}
	normal, err := l.normal(ctx)
	if err != nil {
		return err
	}
	for _, h := range reasons {
		if normal {
			l.hold(h)
		} else {
			l.find(releasev1.Finding_SEVERITY_WARNING, h.GetRule(), h.GetSubject(), "%s", h.GetMessage())
		}
	}
	return nil
}

// normal reports whether the release is one that a debt or a neighbor in flight holds.
func (l *look) normal(ctx context.Context) (bool, error) {
	return takeback.Normal(ctx, l.store, l.state.Request)
}

// wayBack judges the readiness of the rollback (PD-3.5). Without a way back the
// request has to say what is done instead, and more people have to agree. A request to
// roll back needs neither, unless what its targets carry could not be placed again.
func (l *look) wayBack() {
	back := policy.WayBackOf(l.index.Document(), l.state)
	why := back.Why
	if why == "" {
		l.find(releasev1.Finding_SEVERITY_OK, "rollback.ready", "", "every target can go back to what it carries%s", l.shown())
		return
	}
	l.unrecoverable, l.unagreed = true, back.Approvals
	switch {
	case !back.Plan:
		l.find(releasev1.Finding_SEVERITY_WARNING, "rollback.first", "", "no way back (%s); it is the first release there, of which the procedure document asks nothing more", why)
	case l.state.Request.GetRollbackPlan().GetRecovery() != "":
		l.find(releasev1.Finding_SEVERITY_WARNING, "rollback.unavailable", "",
			"no way back (%s); the recovery plan says what is done instead", why)
	case l.state.Emergency():
		l.facts.Bypassed = append(l.facts.Bypassed, "rollback readiness: "+why)
		l.find(releasev1.Finding_SEVERITY_WARNING, "rollback.unavailable", "", "no way back (%s), and no recovery plan", why)
	default:
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "rollback.unavailable", "",
			"no way back (%s), and rollback_plan.recovery does not say what is done instead", why)
	}
}

// shown says how the way back was shown, where the procedure document demands it.
func (l *look) shown() string {
	if !policy.DemandsProof(l.index.Document(), l.state.Request) {
		return ""
	}
	return ": a dry run went through on each, and what it would place again is there"
}

// quorum says which approvals are needed. In an emergency one person of the
// emergency group is enough, and the approvals that would have been needed are
// listed as bypassed.
func (l *look) quorum() {
	doc, r := l.index.Document(), l.state.Request
	high := policy.HighRiskAreas(doc, r)
	if len(high) > 0 {
		l.find(releasev1.Finding_SEVERITY_WARNING, "risk.high", "", "touches high-risk areas: %v", high)
	}
	l.facts.Quorum = policy.Needed(doc, l.state, l.now, l.tooMany)
	if !l.state.Emergency() {
		return
	}
	for _, q := range policy.Quorum(doc, r, l.unagreed, len(high) > 0, l.level.GetApprovals()...) {
		l.facts.Bypassed = append(l.facts.Bypassed, fmt.Sprintf("%d approval(s) by %s", q.GetCount(), q.GetGroup()))
	}
}
