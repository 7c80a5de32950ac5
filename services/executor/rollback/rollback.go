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
	return reactor.Step{ID: procedure.StepRollback, Act: shell{s, now}.act, Outside: true}
}

type shell struct {
	*site.Site
	now func() time.Time
}

const lost = "the executor was lost while the driver was going back, and nobody can tell how far it came"

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	targets := procedure.RollbackTargets(t.State)
	if t.State.Phase == procedure.PhaseRemedy {
		return s.claim(ctx, t, targets)
	}
	mine, gone := s.Mine(t)
	switch {
	case mine:
		return s.effect(ctx, t, targets)
	case !gone:
		return nil, site.Waits(t.State, t.Now) // whoever claimed it is at work
	}
	ok, wait := procedure.MayTakeOver(t.State, targets, t.Now)
	switch {
	case ok:
		if err := s.Reachable(targets); err != nil {
			return nil, err
		}
		return s.claim(ctx, t, targets)
	case wait > 0:
		return nil, site.Waits(t.State, t.Now)
	}
	results, err := s.Lose(ctx, t.State, targets, lost, func(target string) driver.Key { return key(t.State, target) })
	if err != nil {
		return nil, err
	}
	return s.ended(t, results)
}

// key is that of the newest attempt to take a target back.
func key(s procedure.State, target string) driver.Key {
	return driver.RollbackKey(s.Release, s.Scoped(target).GetWave(), s.RollbackAttempt)
}

// ended is the end of the way back.
func (s shell) ended(t reactor.Task, results []*releasev1.TargetResult) ([]eventstore.Draft, error) {
	return []eventstore.Draft{t.Draft(procedure.DecideRolledBack(t.State, results, site.Reason(results)))}, nil
}

// claim takes the way back, or says that there is none; with either the artifact goes
// into quarantine. The targets are this
// release's already; their new locks give this executor a higher fence than any
// that is still on its way forth.
func (s shell) claim(ctx context.Context, t reactor.Task, targets []string) ([]eventstore.Draft, error) {
	deadline := t.Now.Add(t.State.Requested.GetTimeouts().GetExecute().AsDuration())
	event := procedure.DecideRemedy(t.State, s.Name, deadline, deadline)
	digest, quarantine, err := s.Quarantine(ctx, t)
	if err != nil {
		return nil, err
	}
	if d := event.GetRollbackUnavailable(); d != nil {
		d.Quarantined = digest
		return append([]eventstore.Draft{t.Draft(event)}, quarantine...), nil
	}
	event.GetRollbackClaimed().Quarantined = digest
	drafts, busy, err := s.Claim(ctx, t, event, targets, deadline, nil)
	if err != nil {
		return nil, err
	}
	if busy != "" {
		return nil, fmt.Errorf("a target of the way back is held by release %s", busy)
	}
	if len(drafts) == 0 || drafts[0].Event.GetRollbackClaimed() == nil {
		return drafts, nil // Nothing is claimed, so nothing is put anywhere with it.
	}
	return append(drafts, quarantine...), nil
}

// effect takes the targets back one after the other, in their order. One that fails,
// or that cannot be reached just now, stops none of the others: the more of production
// is back, the better.
func (s shell) effect(ctx context.Context, t reactor.Task, targets []string) ([]eventstore.Draft, error) {
	if err := failpoint.Hit("rollback.claimed"); err != nil {
		return nil, err
	}
	results, err := site.Each(ctx, s.Until(t), targets, 1, func(ctx context.Context, target string) (*releasev1.TargetResult, error) {
		return s.back(ctx, t, target, len(targets))
	})
	if site.Lost(err) {
		return s.giveWay(ctx, t, targets, err)
	}
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit("rollback.applied"); err != nil {
		return nil, err
	}
	return s.ended(t, results)
}

// giveWay stops where somebody newer has a target. Where the claim is still this
// executor's, the target refuses it for a reason that the record does not know, and
// a person has to look.
func (s shell) giveWay(ctx context.Context, t reactor.Task, targets []string, stale error) ([]eventstore.Draft, error) {
	still, err := s.GiveWay(ctx, t, s.now())
	if !still {
		return nil, err
	}
	return s.ended(t, site.Failed(targets, stale.Error()))
}

// back takes one target back. An error means that nothing can be said about it yet.
func (s shell) back(ctx context.Context, t reactor.Task, target string, of int) (*releasev1.TargetResult, error) {
	d, err := s.Driver(target)
	if err != nil {
		// Others may be reached, and a person has to hear of this one.
		return site.Failed([]string{target}, err.Error())[0], nil
	}
	fence, err := s.Fence(ctx, t.State.Release, target)
	if err != nil {
		return nil, err
	}
	started := s.now()
	if err := failpoint.Hit("rollback.fenced"); err != nil {
		return nil, err
	}
	if d.Class() == releasev1.DriverClass_DRIVER_CLASS_OPAQUE {
		if err := s.Holds(ctx, t); err != nil {
			return nil, err
		}
	}
	plan, err := s.Back(ctx, t.State, target)
	if err != nil {
		return nil, err
	}
	own, cancel := share(ctx, d, of)
	defer cancel()
	r, err := d.Rollback(own, key(t.State, target), fence, plan)
	if site.Lost(err) || site.Retry(err) {
		return nil, err
	}
	if err != nil && own.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// Its share is over and not the deadline, or the process is ending: not a
		// failure of the target. The others are next, and then it is this one's turn
		// again, or somebody else finds out how far it came.
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	return s.Result(context.WithoutCancel(ctx), target, fence, r, err, started, s.now()), nil
}

// share is the time that one of several targets may take before the others are
// tried: one that hangs must not use up the time of all. Only what can be repeated is
// cut short.
func share(ctx context.Context, d driver.Driver, of int) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded || of < 2 || d.Class() != releasev1.DriverClass_DRIVER_CLASS_FENCED {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(of))
}
