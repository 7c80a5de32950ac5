package execute

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/takeback"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// alerted is what sources of alerts say of a start.
type alerted struct {
	// holds make the start wait; nobody knows until when.
	holds []*releasev1.HoldReason
	// findings refuse it.
	findings []*releasev1.Finding
	// answers are what was said, for the event, and unkept what of it could not be kept.
	answers []*releasev1.AlertAnswer
	unkept  []*releasev1.UnkeptEvidence
	// bypassed are rules that an emergency goes around and that are not on record as that yet.
	bypassed []string
}

// alerts asks again whether alerts fire that the document names, by the document that the
// release runs under, before its start and before every wave (PD-3.4): hours may lie between
// the look at step 3 and the start, and the wave before this one may be what has set them
// off. What began with the release that this one takes back holds nothing. An emergency goes
// around rules that say so, which its claim says.
func (s shell) alerts(ctx context.Context, t reactor.Task) (alerted, error) {
	var out alerted
	rules, began, err := s.watched(ctx, t)
	if err != nil || len(rules) == 0 {
		return out, err
	}
	answers, err := alerts.Watch{Sources: s.Sources, Keeper: s.Blobs}.Ask(ctx, alerts.Look{
		Rules: rules, Request: t.State.Request, Began: began, Urgent: t.State.Urgent(),
	})
	if err != nil {
		return out, err
	}
	out.answers, out.unkept = alerts.Records(answers), alerts.Unkept(answers)
	verdicts, err := alerts.Judge(rules, t.State.Request, answers)
	if err != nil {
		return out, err
	}
	for _, v := range verdicts {
		around := alerts.Around(v.Rule)
		switch {
		case v.Why == "":
		case !alerts.Bypass(v.Rule, t.State.Request):
			out.holds = append(out.holds, &releasev1.HoldReason{Rule: v.Word, Subject: v.Rule.GetName(), Message: v.Why})
		case !slices.Contains(t.State.Bypassed, around):
			out.bypassed = append(out.bypassed, around)
		}
	}
	out.outlast(t)
	return out, nil
}

// watched are the rules about alerts of the document that the release runs under, and when
// the release began that it takes back.
func (s shell) watched(ctx context.Context, t reactor.Task) ([]*policyv1.AlertRule, time.Time, error) {
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, time.Time{}, err
	}
	rules := slices.DeleteFunc(slices.Clone(index.Document().GetAlerts()), func(r *policyv1.AlertRule) bool { return !alerts.Applies(r, t.State.Request) })
	if len(rules) == 0 {
		return nil, time.Time{}, nil
	}
	began, err := takeback.Began(ctx, s.Store, t.State.Request)
	return rules, began, err
}

// outlast refuses the next wave where alerts, or that nobody can tell, have held it for as long
// as a person has to decide. A release that has begun is ended by no clock: people would never
// hear that half of it is in production and waits, as long as an alert that its first wave has
// set off fires.
func (a *alerted) outlast(t reactor.Task) {
	if len(a.holds) == 0 || begins(t.State) || !outwaited(t, alerts.RuleFiring, alerts.RuleUnknown) {
		return
	}
	for _, h := range a.holds {
		a.findings = append(a.findings, &releasev1.Finding{
			Rule: h.GetRule(), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: h.GetSubject(), Message: h.GetMessage(),
		})
	}
}

// alarmed says which alert keeps a wave that was claimed from being begun: between a claim
// and its effect may lie a night. An error means that nobody can tell.
func (s shell) alarmed(ctx context.Context, t reactor.Task) (string, error) {
	rules, began, err := s.watched(ctx, t)
	if err != nil {
		return "", err
	}
	rules = slices.DeleteFunc(rules, func(r *policyv1.AlertRule) bool { return alerts.Bypass(r, t.State.Request) })
	if len(rules) == 0 {
		return "", nil
	}
	answers, err := alerts.Watch{Sources: s.Sources}.Ask(ctx, alerts.Look{Rules: rules, Request: t.State.Request, Began: began})
	if err != nil {
		return "", err
	}
	verdicts, err := alerts.Judge(rules, t.State.Request, answers)
	if err != nil {
		return "", err
	}
	for _, v := range verdicts {
		switch {
		case v.Why == "":
		case v.Word == alerts.RuleUnknown:
			return "", cannotTell(v.Why)
		default:
			return "held by " + v.Word + " " + v.Rule.GetName() + ": " + v.Why, nil
		}
	}
	return "", nil
}
