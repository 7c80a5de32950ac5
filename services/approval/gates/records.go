package gates

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	kept "github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// askAgain is how long nobody is asked again who did not answer.
const askAgain = 15 * time.Second

// records returns a verdict for every rule that demands the request's change record, beside
// those of the gates (PD-1.1). A record whose window has not begun passes: the start waits for
// it. One that is not known waits for as long as the step may take, and is refused then, with
// what was wrong; it never passes.
func (s *shell) records(ctx context.Context, t reactor.Task, index *policy.Index) (verdicts []*releasev1.GateVerdict, unkept []*releasev1.UnkeptEvidence, err error) {
	rules := index.ChangeRecordsFor(t.State.Request)
	if len(rules) == 0 {
		return nil, nil, nil
	}
	giveUp := t.State.Entered.Add(t.State.Requested.GetTimeouts().GetStep().AsDuration())
	asking, done := s.bounded(ctx)
	defer done()
	results := s.connectors.Check(asking, rules, t.State.Request, StartOf(t.State.Request, t.Now))
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	for _, r := range results {
		lost, err := s.keepRecord(ctx, t.State, &r)
		if err != nil {
			return nil, nil, err
		}
		if lost != nil {
			unkept = append(unkept, lost)
		}
		if s.saw.Record != nil {
			s.saw.Record(r)
		}
		v := Verdict(r)
		if r.Unknown != nil && !s.dry && t.Now.Before(giveUp) && (!t.State.Emergency() || !r.Rule.GetBypassable()) {
			slog.WarnContext(ctx, "a change record is not known yet", slog.String("release", t.State.Release),
				slog.String("rule", r.Rule.GetName()), slog.Any("error", r.Unknown))
			return nil, nil, reactor.RetryAfter(min(askAgain, max(giveUp.Sub(t.Now), time.Second)), r.Unknown)
		}
		if r.Document != nil {
			v.Evidence = []string{r.Digest()}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, unkept, nil
}

// keepRecord keeps the answer that a result is of. Where that cannot be done, a planned
// release takes it for no answer; an urgent one goes on by it, and the event says so.
func (s *shell) keepRecord(ctx context.Context, state procedure.State, r *changerecord.Result) (*releasev1.UnkeptEvidence, error) {
	if r.Document == nil {
		return nil, nil
	}
	_, unkept, err := kept.Keep(ctx, s.keeper, "application/json", "change record "+state.Request.GetChangeRecord().GetId(), r.Document)
	switch {
	case err == nil, unkept != nil && state.Urgent():
		return unkept, nil
	case unkept != nil:
		*r = r.Lost(unkept.GetReason())
		return nil, nil
	}
	return nil, fmt.Errorf("keep the change record: %w", err)
}

// StartOf is the start by which change records are judged at step 1: what is to start later
// is judged by that time.
func StartOf(request *releasev1.Request, now time.Time) time.Time {
	if nb := request.GetNotBefore(); nb != nil && nb.AsTime().After(now) {
		return nb.AsTime()
	}
	return now
}

// Verdict is that on a change record, without the evidence. It depends on the result alone,
// and is what a replay calls, too (N-01).
func Verdict(r changerecord.Result) *releasev1.GateVerdict {
	v := &releasev1.GateVerdict{Gate: r.Rule.GetName(), Rule: changerecord.Words(r.Rule), Status: releasev1.GateVerdict_STATUS_FAILED}
	switch {
	case r.Unknown != nil:
		v.Reason = r.Unknown.Error()
	case r.Why != "":
		v.Reason = r.Why
	default:
		v.Status, v.Reason = releasev1.GateVerdict_STATUS_PASSED, said(r)
	}
	return v
}

// said is what the record said, in a sentence. It is the word of the system, by a connection
// that was secured, and signed by nobody.
func said(r changerecord.Result) string {
	text := fmt.Sprintf("read from %s: %s is in state %q", r.Rule.GetConnector(), r.Reading.GetId(), r.Reading.GetState())
	if start, end := r.Reading.GetWindowStart(), r.Reading.GetWindowEnd(); start != nil || end != nil {
		text += fmt.Sprintf(", its window from %s to %s", moment(start.AsTime(), start != nil), moment(end.AsTime(), end != nil))
	}
	return text
}

func moment(t time.Time, known bool) string {
	if !known {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
