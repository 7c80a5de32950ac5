// Package rollback is the shell of the way back in step 7: every target that was
// touched goes back to what it carried, last touched first, whatever wave it was in
// (PD-7.1).
//
// It wakes on failed executions and verifications, on aborts and on a person's
// decision, and appends rollback_claimed and then rolled_back, rollback_failed or
// execution_unknown, or rollback_unavailable at once. The way back is verified like
// the way forth, and a way back that fails always reaches a person (P16).
package rollback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// New returns the step.
func New(s *site.Site, now func() time.Time) reactor.Step {
	return reactor.Step{ID: procedure.StepRollback, Act: shell{s, now}.act}
}

type shell struct {
	*site.Site
	now func() time.Time
}

var errAtWork = errors.New("another executor holds the claim")

const lost = "the executor was lost while the driver was going back, and nobody can tell how far it came"

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	targets := procedure.RollbackTargets(t.State)
	if t.State.Phase == procedure.PhaseRemedy {
		return s.claim(ctx, t, targets)
	}
	mine, gone := s.Mine(t, site.CausedBy(t.History, t.State.Claim))
	switch {
	case mine:
		return s.effect(ctx, t, targets)
	case !gone:
		return nil, nil // whoever claimed it is at work
	}
	ok, wait := procedure.MayTakeOver(t.State, targets, t.Now)
	switch {
	case ok:
		return s.claim(ctx, t, targets)
	case wait > 0:
		return nil, reactor.RetryAfter(wait, errAtWork)
	}
	var unknown []*releasev1.TargetResult
	for _, target := range targets {
		unknown = append(unknown, &releasev1.TargetResult{Target: target, Status: releasev1.TargetResult_STATUS_UNKNOWN, Message: lost})
	}
	return []eventstore.Draft{t.Draft(procedure.DecideRolledBack(t.State, unknown, lost))}, nil
}

// claim takes the way back, or says that there is none. The targets are this
// release's already; their new locks give this executor a higher fence than any
// that is still on its way forth.
func (s shell) claim(ctx context.Context, t reactor.Task, targets []string) ([]eventstore.Draft, error) {
	deadline := t.Now.Add(t.State.Requested.GetTimeouts().GetExecute().AsDuration())
	event := procedure.DecideRemedy(t.State, s.Name, deadline, deadline)
	if event.GetRollbackUnavailable() != nil {
		return []eventstore.Draft{t.Draft(event)}, nil
	}
	locks, busy, err := s.Locks(ctx, t, targets, deadline)
	if err != nil {
		return nil, err
	}
	if busy != "" {
		return nil, fmt.Errorf("a target of the way back is held by release %s", busy)
	}
	return append([]eventstore.Draft{t.Draft(event)}, locks...), nil
}

// effect takes the targets back one after the other, in their order. One that fails
// stops none of the others: the more of production is back, the better.
func (s shell) effect(ctx context.Context, t reactor.Task, targets []string) ([]eventstore.Draft, error) {
	if err := failpoint.Hit("rollback.claimed"); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithDeadline(ctx, t.State.Claim.Deadline)
	defer cancel()
	var results []*releasev1.TargetResult
	reason := ""
	for _, target := range targets {
		r, err := s.back(bounded, t, target)
		switch {
		case site.Lost(err):
			return nil, nil
		case site.Retry(err) && bounded.Err() == nil:
			return nil, reactor.RetryAfter(time.Second, err)
		case err != nil:
			return nil, err
		}
		results = append(results, r)
		if r.GetStatus() != releasev1.TargetResult_STATUS_DONE {
			reason += "target " + target + ": " + r.GetMessage() + "; "
		}
	}
	if err := failpoint.Hit("rollback.applied"); err != nil {
		return nil, err
	}
	return []eventstore.Draft{t.Draft(procedure.DecideRolledBack(t.State, results, reason))}, nil
}

// back takes one target back. An error means that nothing can be said about it yet.
func (s shell) back(ctx context.Context, t reactor.Task, target string) (*releasev1.TargetResult, error) {
	d, err := s.Driver(target)
	if err != nil {
		return nil, err
	}
	fence, err := s.Fence(ctx, t.State.Release, target)
	if err != nil {
		return nil, err
	}
	started := s.now()
	plan, err := s.Plan(ctx, t.State, target)
	if err != nil && !site.Permanent(err) {
		return nil, err
	}
	// The way back needs what the target carried before, and not the new artifact:
	// one that is gone from its registry must not keep a target from going back.
	key := driver.RollbackKey(t.State.Release, t.State.Scoped(target).GetWave(), t.State.RollbackAttempt)
	if err := failpoint.Hit("rollback.fenced"); err != nil {
		return nil, err
	}
	r, err := d.Rollback(ctx, key, fence, plan)
	if site.Lost(err) || site.Retry(err) {
		return nil, err
	}
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	return s.Result(context.WithoutCancel(ctx), target, fence, r, err, started, s.now()), nil
}
