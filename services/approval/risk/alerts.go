package risk

import (
	"context"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/takeback"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Alerts is a source of alerts.
type Alerts = alerts.Asked

// Watch is where alerts are asked for.
type Watch = alerts.Watch

// Answer is what one source said in one look.
type Answer = alerts.Answer

// alerts asks every source of a rule that concerns the release, once (PD-3.4). The way
// back from a release is not held by what began with that release.
func (l *look) alerts(ctx context.Context) error {
	rules := l.index.Document().GetAlerts()
	if len(rules) == 0 {
		return nil
	}
	since, err := takeback.Began(ctx, l.store, l.state.Request)
	if err != nil {
		return err
	}
	l.answers, err = l.watch.Ask(ctx, alerts.Look{Rules: rules, Request: l.state.Request, Began: since, Urgent: l.state.Urgent()})
	return err
}

// firing holds the release while alerts fire that the document names, and while nobody can
// tell whether they do, by what the sources said. It depends on nothing else, so that a
// replay judges it again (N-01).
func (l *look) firing() error {
	verdicts, err := alerts.Judge(l.index.Document().GetAlerts(), l.state.Request, l.answers)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		if v.Own != "" {
			l.find(releasev1.Finding_SEVERITY_WARNING, v.Word, v.Rule.GetName(), "%s", v.Own)
		}
		if v.Why == "" {
			l.find(releasev1.Finding_SEVERITY_OK, v.Word, v.Rule.GetName(), "%s", v.Fine)
			continue
		}
		l.hinder(v)
	}
	l.facts.Alerts = append(l.facts.Alerts, alerts.Records(l.answers)...)
	return nil
}

// hinder holds the release, unless it is an emergency that may go around the rule.
func (l *look) hinder(v alerts.Verdict) {
	if alerts.Bypass(v.Rule, l.state.Request) {
		l.facts.Bypassed = append(l.facts.Bypassed, alerts.Around(v.Rule))
		l.find(releasev1.Finding_SEVERITY_WARNING, v.Word, v.Rule.GetName(), "%s", v.Why)
		return
	}
	l.hold(&releasev1.HoldReason{Rule: v.Word, Subject: v.Rule.GetName(), Message: v.Why})
}
