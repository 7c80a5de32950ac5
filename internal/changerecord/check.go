package changerecord

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var (
	errNotJSON = errors.New("the answer is not one JSON document")
	errNoState = errors.New("fields.state: the record has no state")
)

// Connectors are those of a configuration, by name.
type Connectors map[string]*Connector

// Open opens the configured connectors. The error names every field at fault.
func Open(configured []*configv1.ChangeConnector) (Connectors, error) {
	all := Connectors{}
	var wrong []error
	for i, cfg := range configured {
		c, err := New(cfg)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("change_connectors[%d].%w", i, err))
		case all[cfg.GetName()] != nil:
			wrong = append(wrong, fmt.Errorf("change_connectors[%d].name: %w: %s is there already", i, ErrConfig, cfg.GetName()))
		default:
			all[cfg.GetName()] = c
		}
	}
	return all, errors.Join(wrong...)
}

// Result is what one rule makes of a request's change record.
type Result struct {
	Rule *policyv1.ChangeRecordRule
	// Reading is what was read; nil where nothing was, or there is no such record.
	Reading *releasev1.RecordReading
	// Document is the answer, to be kept as evidence; nil where nobody was asked.
	Document []byte
	// Why says why the release must not start under it; empty where it may.
	Why string
	// From is when it may, where the record's window has not begun.
	From time.Time
	// Unknown is why nothing is known; then nothing else is said.
	Unknown error
}

// Check looks the request's change record up and judges it by every rule that demands one,
// for a start at that time (PD-1.1). It changes nothing and keeps nothing.
func (cs Connectors) Check(ctx context.Context, rules []*policyv1.ChangeRecordRule, request *releasev1.Request, at time.Time) []Result {
	all := make([]Result, 0, len(rules))
	for _, rule := range rules {
		all = append(all, cs.check(ctx, rule, request, at))
	}
	return all
}

func (cs Connectors) check(ctx context.Context, rule *policyv1.ChangeRecordRule, request *releasev1.Request, at time.Time) Result {
	out, asks := named(rule, request)
	if !asks {
		return out
	}
	connector := cs[rule.GetConnector()]
	if connector == nil {
		out.Unknown = fmt.Errorf("%w: no connector %s is configured", ErrUnknown, rule.GetConnector())
		return out
	}
	answer, err := connector.Look(ctx, request.GetChangeRecord().GetId())
	if err != nil {
		out.Unknown = err
		return out
	}
	return out.judged(request, answer, at)
}

// named judges what the request names, before anybody is asked; asks is false where that
// decides already.
func named(rule *policyv1.ChangeRecordRule, request *releasev1.Request) (out Result, asks bool) {
	out = Result{Rule: rule}
	record := request.GetChangeRecord()
	pattern, err := regexp.Compile(`^(?:` + rule.GetIdPattern() + `)$`)
	switch {
	case err != nil:
		out.Unknown = fmt.Errorf("%w: the id_pattern of %s is none", ErrUnknown, rule.GetName())
	case record.GetSystem() != rule.GetSystem():
		out.Why = fmt.Sprintf("the request names a change record of %q, and it must be one of %s", record.GetSystem(), rule.GetSystem())
	case !pattern.MatchString(record.GetId()):
		out.Why = fmt.Sprintf("%q is no id of a change record: it must match %s", record.GetId(), rule.GetIdPattern())
	default:
		return out, true
	}
	return out, false
}

// judged is the result by an answer, for a start at that time.
func (r Result) judged(request *releasev1.Request, answer Answer, at time.Time) Result {
	if r.Reading = answer.Reading; r.Reading != nil {
		r.Reading.Rule = r.Rule.GetName()
	}
	r.Document = answer.Document
	r.Why, r.From = procedure.JudgeRecord(Demand(r.Rule, request), answer.Reading, at)
	return r
}

// Demand is what a rule demands of the record that a request names.
func Demand(rule *policyv1.ChangeRecordRule, request *releasev1.Request) procedure.RecordDemand {
	service := request.GetService()
	if other := rule.GetServiceNames()[service]; other != "" {
		service = other
	}
	return procedure.RecordDemand{
		ID: request.GetChangeRecord().GetId(), States: rule.GetStates(), Service: service,
		Window: rule.GetRequireWindow(), OfService: rule.GetRequireService(),
	}
}

// Words is what a rule demands, for the record.
func Words(rule *policyv1.ChangeRecordRule) string {
	text := fmt.Sprintf("the change record in %s is in state", rule.GetSystem())
	for i, state := range rule.GetStates() {
		if i > 0 {
			text += " or"
		}
		text += fmt.Sprintf(" %q", state)
	}
	text += ", of this service, and in its window"
	if rule.GetRequireWindow() {
		text += ", which it must have"
	}
	return text
}

// Lost is the result where its answer could not be kept as evidence: what nobody can look at
// afterwards is no answer.
func (r Result) Lost(why string) Result {
	return Result{Rule: r.Rule, Unknown: fmt.Errorf("%w: its answer cannot be kept as evidence, %s", ErrUnknown, why)}
}

// Digest is that of the answer, "sha256:…"; empty where there is none.
func (r Result) Digest() string {
	if r.Document == nil {
		return ""
	}
	return policy.Digest(r.Document)
}
