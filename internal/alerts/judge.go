package alerts

import (
	"fmt"
	"strings"
	"time"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of holds by alerts.
const (
	RuleFiring  = "alert.firing"
	RuleUnknown = "alert.unknown"
)

// maxNamed bounds how many alerts of one rule a hold names, and maxText one of them.
const (
	maxNamed = 8
	maxText  = 200
)

// Verdict is what one rule makes of the answers.
type Verdict struct {
	Rule *policyv1.AlertRule
	// Word is RuleFiring or RuleUnknown, and Why the reason for which the rule holds the
	// release; empty where it does not, and then Fine says what was found.
	Word, Why, Fine string
	// Own says which alerts do not hold the way back, because they began with what it takes
	// back; empty where there are none.
	Own string
}

// Around is how a rule is called among the controls that an emergency goes around.
func Around(rule *policyv1.AlertRule) string { return "alert rule " + rule.GetName() }

// Bypass reports whether a release goes around the rule: an emergency, where the document
// says so.
func Bypass(rule *policyv1.AlertRule, r *releasev1.Request) bool {
	return r.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY && rule.GetBypassable()
}

// Judge says of every rule that concerns the release whether it holds it: while alerts fire
// that it is about, and while nobody can tell whether they do. It depends on its arguments
// alone, so that a replay judges again (N-01).
func Judge(rules []*policyv1.AlertRule, r *releasev1.Request, answers []Answer) ([]Verdict, error) {
	var out []Verdict
	for _, rule := range rules {
		if !Applies(rule, r) {
			continue
		}
		a := answerOf(answers, rule.GetSource())
		if a == nil {
			a = &Answer{Record: &releasev1.AlertAnswer{Source: rule.GetSource(), Error: "it was not asked"}}
		}
		v, err := judge(rule, r, *a)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func judge(rule *policyv1.AlertRule, r *releasev1.Request, a Answer) (Verdict, error) {
	v := Verdict{Rule: rule, Word: RuleFiring}
	if a.Record.GetError() != "" {
		v.Word = RuleUnknown
		v.Why = fmt.Sprintf("nobody can tell whether alerts fire, source %s: %s; %.300s", rule.GetSource(), a.Record.GetError(), rule.GetReason())
		return v, nil
	}
	found, err := Matching(rule, r, a.Alerts)
	if err != nil {
		return v, err
	}
	var named []string
	own, count := 0, 0
	for _, x := range found {
		if isOwn(x, r, a.Record) {
			own++
			continue
		}
		if count++; len(named) < maxNamed {
			named = append(named, fmt.Sprintf("%.*s fires since %s", maxText, or(x.Name(), "an alert without a name"), x.Starts.UTC().Format(time.RFC3339)))
		}
	}
	if own > 0 {
		v.Own = fmt.Sprintf("%d alert(s) began with %s and do not hold the way back from it", own, r.GetRollbackOf())
	}
	if count > 0 {
		if count > len(named) {
			named = append(named, fmt.Sprintf("and %d more", count-len(named)))
		}
		v.Why = fmt.Sprintf("%s: %.300s", strings.Join(named, ", "), rule.GetReason())
		return v, nil
	}
	v.Fine = fmt.Sprintf("none of the %d alerts of %s is one of it; answer %s",
		max(int(a.Record.GetActive()), len(a.Alerts)), rule.GetSource(), or(a.Record.GetAnswer().GetDigest(), "not kept"))
	return v, nil
}

// isOwn reports whether an alert is one that the release which is taken back has raised: it
// began with it, or says that it is its own.
func isOwn(x Alert, r *releasev1.Request, said *releasev1.AlertAnswer) bool {
	began := said.GetBegan()
	return began != nil && !x.Starts.Before(began.AsTime()) || x.Labels[labelRelease] != "" && x.Labels[labelRelease] == r.GetRollbackOf()
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
