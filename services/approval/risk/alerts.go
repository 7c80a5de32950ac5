package risk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// answered is what one source said in this look.
type answered struct {
	alerts []alerts.Alert
	digest string
	err    error
}

// alerts holds the release while alerts fire that the document names, and while nobody
// can tell whether they do (PD-3.4). The way back from a release is not held by what
// began with that release.
func (l *look) alerts(ctx context.Context) error {
	since, err := l.takenBackSince(ctx)
	if err != nil {
		return err
	}
	asked := map[string]answered{}
	for _, rule := range l.index.Document().GetAlerts() {
		if !alerts.Applies(rule, l.state.Request) {
			continue
		}
		if _, ok := asked[rule.GetSource()]; !ok {
			if asked[rule.GetSource()], err = l.ask(ctx, rule.GetSource()); err != nil {
				return err
			}
		}
		if err := l.rule(rule, asked[rule.GetSource()], since); err != nil {
			return err
		}
	}
	return nil
}

// ask asks one source once. An error is one of ours; that there is no answer is a fact.
func (l *look) ask(ctx context.Context, source string) (answered, error) {
	var a answered
	from := l.watch.Sources[source]
	if from == nil {
		a.err = errors.New("no such source is configured")
		return a, nil
	}
	var body []byte
	a.alerts, body, a.err = from.Active(ctx)
	if err := ctx.Err(); err != nil || a.err != nil || l.watch.Keeper == nil {
		return a, err
	}
	ref, err := l.watch.Keeper.Put(ctx, "application/json", "alerts of "+source, body)
	if err != nil {
		return a, fmt.Errorf("keep the alerts of %s: %w", source, err)
	}
	a.digest = ref.GetDigest()
	return a, nil
}

// rule judges one rule by what its source said.
func (l *look) rule(rule *policyv1.AlertRule, a answered, since time.Time) error {
	if a.err != nil {
		l.hinder(rule, ruleUnknown, fmt.Sprintf("nobody can tell whether alerts fire, source %s: %v; %.300s", rule.GetSource(), a.err, rule.GetReason()))
		return nil //nolint:nilerr // That there is no answer is a fact, and holds.
	}
	matching, err := alerts.Matching(rule, l.state.Request, a.alerts)
	if err != nil {
		return err
	}
	var named []string
	count, own := 0, 0
	for _, x := range matching {
		if !since.IsZero() && !x.Starts.Before(since) || x.Labels["shipwarden_release"] != "" && x.Labels["shipwarden_release"] == l.state.Request.GetRollbackOf() {
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
	l.find(releasev1.Finding_SEVERITY_OK, ruleFiring, rule.GetName(), "none of the %d alerts of %s is one of it; answer %s", len(a.alerts), rule.GetSource(), or(a.digest, "not kept"))
	return nil
}

// hinder holds the release, unless it is an emergency that may go around the rule.
func (l *look) hinder(rule *policyv1.AlertRule, what, why string) {
	if l.state.Emergency() && rule.GetBypassable() {
		l.facts.Bypassed = append(l.facts.Bypassed, "alert rule "+rule.GetName())
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
