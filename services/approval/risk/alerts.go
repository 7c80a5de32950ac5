package risk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/alerts"
	"github.com/blackdice/shipwarden/services/approval/takeback"
)

// Rules of holds by alerts.
const (
	ruleFiring  = "alert.firing"
	ruleUnknown = "alert.unknown"
)

// maxNamed bounds how many alerts of one rule a hold names, and maxText one of them.
const (
	maxNamed = 8
	maxText  = 200
)

// Alerts is a source of alerts; *alerts.Source is one.
type Alerts interface {
	Active(ctx context.Context) ([]alerts.Alert, []byte, error)
}

// Keeper keeps answers as evidence; *evidence.Store is one.
type Keeper interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Watch is where alerts are asked for, by the names that the document has for them.
// Without a keeper nothing is kept.
type Watch struct {
	Sources map[string]Alerts
	Keeper  Keeper
}

// Answer is what one source said in one look.
type Answer struct {
	// Record is what the event says of it.
	Record *releasev1.AlertAnswer
	// Alerts are those that were active; none where the record has an error.
	Alerts []alerts.Alert
}

// alerts asks every source of a rule that concerns the release, once (PD-3.4). The way
// back from a release is not held by what began with that release.
func (l *look) alerts(ctx context.Context) error {
	since, err := l.takenBackSince(ctx)
	if err != nil {
		return err
	}
	for _, rule := range l.index.Document().GetAlerts() {
		if !alerts.Applies(rule, l.state.Request) || answerOf(l.answers, rule.GetSource()) != nil {
			continue
		}
		a, err := l.ask(ctx, rule.GetSource())
		if err != nil {
			return err
		}
		if !since.IsZero() {
			a.Record.Began = timestamppb.New(since)
		}
		l.answers = append(l.answers, a)
	}
	return nil
}

func answerOf(answers []Answer, source string) *Answer {
	for i, a := range answers {
		if a.Record.GetSource() == source {
			return &answers[i]
		}
	}
	return nil
}

// ask asks one source once. An error is one of ours; that there is no answer is a fact.
func (l *look) ask(ctx context.Context, source string) (Answer, error) {
	a := Answer{Record: &releasev1.AlertAnswer{Source: source}}
	from := l.watch.Sources[source]
	if from == nil {
		a.Record.Error = "no such source is configured"
		return a, nil
	}
	active, body, err := from.Active(ctx)
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if err != nil {
		a.Record.Error = err.Error()
		return a, nil //nolint:nilerr // What is not known is a fact, which holds the release.
	}
	a.Alerts = active
	if l.watch.Keeper == nil {
		return a, nil
	}
	a.Record.Answer, err = l.watch.Keeper.Put(ctx, "application/json", "alerts of "+source, body)
	if err != nil {
		return a, fmt.Errorf("keep the alerts of %s: %w", source, err)
	}
	return a, nil
}

// firing holds the release while alerts fire that the document names, and while nobody can
// tell whether they do, by what the sources said. It depends on nothing else, so that a
// replay judges it again (N-01).
func (l *look) firing() error {
	for _, rule := range l.index.Document().GetAlerts() {
		if !alerts.Applies(rule, l.state.Request) {
			continue
		}
		a := answerOf(l.answers, rule.GetSource())
		if a == nil {
			a = &Answer{Record: &releasev1.AlertAnswer{Source: rule.GetSource(), Error: "it was not asked"}}
		}
		if err := l.rule(rule, *a); err != nil {
			return err
		}
	}
	for _, a := range l.answers {
		l.facts.Alerts = append(l.facts.Alerts, a.Record)
	}
	return nil
}

// rule judges one rule by what its source said.
func (l *look) rule(rule *policyv1.AlertRule, a Answer) error {
	if a.Record.GetError() != "" {
		l.hinder(rule, ruleUnknown, fmt.Sprintf("nobody can tell whether alerts fire, source %s: %s; %.300s", rule.GetSource(), a.Record.GetError(), rule.GetReason()))
		return nil
	}
	matching, err := alerts.Matching(rule, l.state.Request, a.Alerts)
	if err != nil {
		return err
	}
	var named []string
	count, own := 0, 0
	for _, x := range matching {
		if began := a.Record.GetBegan(); began != nil && !x.Starts.Before(began.AsTime()) || x.Labels["shipwarden_release"] != "" && x.Labels["shipwarden_release"] == l.state.Request.GetRollbackOf() {
			own++
			continue
		}
		if count++; len(named) < maxNamed {
			named = append(named, fmt.Sprintf("%.*s fires since %s", maxText, or(x.Name(), "an alert without a name"), x.Starts.UTC().Format(time.RFC3339)))
		}
	}
	if own > 0 {
		l.find(releasev1.Finding_SEVERITY_WARNING, ruleFiring, rule.GetName(), "%d alert(s) began with %s and do not hold the way back from it", own, l.state.Request.GetRollbackOf())
	}
	if count > 0 {
		if count > len(named) {
			named = append(named, fmt.Sprintf("and %d more", count-len(named)))
		}
		l.hinder(rule, ruleFiring, fmt.Sprintf("%s: %.300s", strings.Join(named, ", "), rule.GetReason()))
		return nil
	}
	l.find(releasev1.Finding_SEVERITY_OK, ruleFiring, rule.GetName(), "none of the %d alerts of %s is one of it; answer %s", len(a.Alerts), rule.GetSource(), or(a.Record.GetAnswer().GetDigest(), "not kept"))
	return nil
}

// hinder holds the release, unless it is an emergency that may go around the rule.
func (l *look) hinder(rule *policyv1.AlertRule, what, why string) {
	if l.state.Emergency() && rule.GetBypassable() {
		l.facts.Bypassed = append(l.facts.Bypassed, aroundAlerts+rule.GetName())
		l.find(releasev1.Finding_SEVERITY_WARNING, what, rule.GetName(), "%s", why)
		return
	}
	l.hold(&releasev1.HoldReason{Rule: what, Subject: rule.GetName(), Message: why})
}

// takenBackSince is when the release began that this one takes back; zero where it takes
// back none, or not what it names.
func (l *look) takenBackSince(ctx context.Context) (time.Time, error) {
	id := l.state.Request.GetRollbackOf()
	if l.state.Request.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK || id == "" || len(l.index.Document().GetAlerts()) == 0 {
		return time.Time{}, nil
	}
	h, err := l.store.Load(ctx, procedure.Aggregate(id))
	if err != nil {
		return time.Time{}, err
	}
	of, _ := procedure.Fold(id, h.Entries)
	problems, err := takeback.Check(ctx, l.store, l.state.Request, of)
	if err != nil || len(problems) > 0 {
		return time.Time{}, err
	}
	for _, e := range h.Entries {
		if e.Event.GetExecutionClaimed() != nil {
			return e.Stored, nil
		}
	}
	return time.Time{}, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
