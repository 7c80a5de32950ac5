package execute

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/reactor"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Words for the record: what a change record makes the start wait for, or refuses.
const (
	ruleRecord        = changerecord.RuleRecord
	ruleRecordUnknown = changerecord.RuleUnknown
)

// records are what the change record says of a start, by every rule that demands it.
type records struct {
	// holds make the start wait, until then where that is known.
	holds []*releasev1.HoldReason
	until time.Time
	// findings refuse it.
	findings []*releasev1.Finding
	// readings let it pass, unkept are those answers that could not be kept, and bypassed
	// are rules that an emergency goes around and that are not on record as that yet.
	readings []*releasev1.RecordReading
	unkept   []*releasev1.UnkeptEvidence
	bypassed []string
}

// records looks the change record up again, by the document that the release runs under: it
// may have been taken back since step 1, and its window may not have begun, or be over
// (PD-1.1). What is not known is waited for, up to the end of the authorization, and for as
// long as a person has to decide; then it is refused. It never passes.
func (s shell) records(ctx context.Context, t reactor.Task, now time.Time) (records, error) {
	var out records
	rules, bypassed, err := s.demanded(ctx, t)
	if err != nil {
		return out, err
	}
	out.bypassed = bypassed
	for _, r := range s.Connectors.Check(ctx, rules, t.State.Request, now) {
		if r.Document != nil {
			_, unkept, err := evidence.Keep(ctx, s.Blobs, "application/json", "change record "+t.State.Request.GetChangeRecord().GetId(), r.Document)
			switch {
			case err != nil && unkept == nil:
				return out, fmt.Errorf("keep the change record: %w", err)
			case unkept != nil && t.State.Urgent():
				out.unkept = append(out.unkept, unkept)
			case unkept != nil:
				r = r.Lost(unkept.GetReason())
			}
		}
		switch {
		case r.Unknown != nil:
			out.holds = append(out.holds, r.Hold(t.State.Request))
		case r.Why != "":
			out.refuse(ruleRecord, r.Rule.GetName(), r.Why, r.Digest())
		case !r.From.IsZero():
			out.holds = append(out.holds, r.Hold(t.State.Request))
			if r.From.After(out.until) {
				out.until = r.From
			}
		default:
			r.Reading.Digest = r.Digest()
			out.readings = append(out.readings, r.Reading)
		}
	}
	return out, s.patience(ctx, t, now, &out)
}

// demanded are the rules that the start is judged by, and those that an emergency goes
// around.
func (s shell) demanded(ctx context.Context, t reactor.Task) (rules []*policyv1.ChangeRecordRule, bypassed []string, err error) {
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, nil, err
	}
	for _, rule := range index.ChangeRecordsFor(t.State.Request) {
		if !t.State.Emergency() || !rule.GetBypassable() {
			rules = append(rules, rule)
			continue
		}
		around := "change record " + rule.GetName()
		if !slices.Contains(t.State.Bypassed, around) && !slices.Contains(t.State.Bypassed, "gate "+rule.GetName()) {
			bypassed = append(bypassed, around)
		}
	}
	return rules, bypassed, nil
}

// patience turns waiting for what is not known into a refusal when its time is over: people
// would hear of an authorization that expired, and not why.
func (s shell) patience(ctx context.Context, t reactor.Task, now time.Time, r *records) error {
	unknown := slices.ContainsFunc(r.holds, func(h *releasev1.HoldReason) bool { return h.GetRule() == ruleRecordUnknown })
	if !unknown {
		return nil
	}
	r.until = time.Time{} // nobody knows when it will be known
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return err
	}
	next := now.Add(index.Document().GetDeadlines().GetRecheck().AsDuration() + margin)
	if !outwaited(t, ruleRecordUnknown) && (!begins(t.State) || !over(t.State, next)) {
		return nil
	}
	for _, h := range r.holds {
		if h.GetRule() == ruleRecordUnknown {
			r.refuse(ruleRecordUnknown, h.GetSubject(), h.GetMessage(), "")
		}
	}
	return nil
}

func (r *records) refuse(rule, subject, why, digest string) {
	if digest != "" {
		why += " (the answer is " + digest + ")"
	}
	r.findings = append(r.findings, &releasev1.Finding{
		Rule: rule, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: subject, Message: why,
	})
}

// closed says why a wave that was claimed must not begin any more by its change record:
// between a claim and its effect may lie a night. An error means that it is not known.
func (s shell) closed(ctx context.Context, t reactor.Task, now time.Time) (string, error) {
	rules, _, err := s.demanded(ctx, t)
	if err != nil || len(rules) == 0 {
		return "", err
	}
	for _, r := range s.Connectors.Check(ctx, rules, t.State.Request, now) {
		switch {
		case r.Unknown != nil:
			return "", cannotTell(r.Unknown.Error())
		case r.Why != "":
			return r.Why, nil
		case !r.From.IsZero():
			return fmt.Sprintf("the window of change record %s has not begun", t.State.Request.GetChangeRecord().GetId()), nil
		}
	}
	return "", nil
}
