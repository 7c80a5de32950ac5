package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// start looks at everything again that may have changed since it was approved, and
// claims the wave only if nothing has (PD-3.1, R-11, R-16). An authorization that
// is over is left to the clock, which ends the release.
func (s shell) start(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	if !t.State.Started() && !t.Now.Before(t.State.Authorized.GetValidUntil().AsTime()) {
		return nil, nil
	}
	holds, until, err := s.holds(t, index)
	if err != nil {
		return nil, err
	}
	if len(holds) > 0 {
		return s.hold(ctx, t, holds, until)
	}
	findings, err := s.changes(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(findings) > 0 {
		return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
			ExecutionRefused: &releasev1.ExecutionRefused{Findings: findings},
		}})}, nil
	}
	return s.claim(ctx, t)
}

// hold makes the start wait, until the given time or, where that is not known, for
// the recheck time of the procedure document.
func (s shell) hold(ctx context.Context, t reactor.Task, holds []*releasev1.HoldReason, until time.Time) ([]eventstore.Draft, error) {
	if until.IsZero() {
		index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
		if err != nil {
			return nil, err
		}
		until = t.Now.Add(index.Document().GetDeadlines().GetRecheck().AsDuration())
	}
	return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: &releasev1.Held{
		Reasons: holds, Until: timestamppb.New(until),
	}}})}, nil
}

func (s shell) holds(t reactor.Task, index *policy.Index) ([]*releasev1.HoldReason, time.Time, error) {
	r := t.State.Request
	if nb := r.GetNotBefore(); nb != nil && t.Now.Before(nb.AsTime()) {
		return []*releasev1.HoldReason{{
			Rule: "not_before", Message: "it is not to start earlier", Until: nb, SetBy: r.GetRequester(),
		}}, nb.AsTime(), nil
	}
	hold, _ := freeze.Bypassable(index.Document().GetFreezes(), t.State.Emergency())
	v, err := freeze.Evaluate(hold, t.Now, freeze.ScopeOf(index.Document(), r))
	if err != nil && !errors.Is(err, freeze.ErrFrozen) {
		return nil, time.Time{}, err
	}
	return v.Reasons, v.Until, nil
}

// changes names everything that is not any more what was approved.
func (s shell) changes(ctx context.Context, t reactor.Task) ([]*releasev1.Finding, error) {
	var out []*releasev1.Finding
	say := func(rule, subject, format string, args ...any) {
		out = append(out, &releasev1.Finding{
			Rule: rule, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: subject, Message: fmt.Sprintf(format, args...),
		})
	}
	if procedure.ChangeDigest(t.State) != t.State.Authorized.GetChangeDigest() {
		say("change.digest", "", "what is to be executed is not what was approved")
	}
	if err := s.Verify(ctx, t.State); err != nil {
		if !site.Permanent(err) {
			return nil, err
		}
		say("artifact.changed", "", "%v", err)
	}
	for _, id := range t.State.WaveTargets() {
		if _, err := s.Driver(id); err != nil {
			say("target.unreachable", id, "%v", err)
		}
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		want := t.State.Scoped(id).GetState().GetGeneration()
		if got := target.State.GetGeneration(); got != want && target.LockedBy != t.State.Release {
			say(procedure.HoldTargetChanged, id, "target %s was changed by release %s since it was looked at (generation %d, now %d): request it again",
				id, target.State.GetDeployed().GetRelease(), want, got)
		}
	}
	return out, nil
}
