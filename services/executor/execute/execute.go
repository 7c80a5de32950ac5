// Package execute is the shell of step 5: it claims a wave, locks its targets, and
// has the drivers change them, once (PD-5.1, PD-5.2).
//
// It wakes on notified, on a passed verification of a wave, on the end of a hold
// and on a person's decision. What it does is decided by the release's state:
//
//	execute   ── not yet ────────► start_held
//	          ── must not ───────► execution_refused
//	          ── claim + locks, one batch ──► executing
//	executing ── mine ── read the locks back ── effect ──► finished / failed / unknown
//	          ── claimer gone ── fenced: claim again; opaque: unknown
//	          ── claimer at work ── nothing
//
// Between the claim and the effect everything that was approved is looked at again:
// approvals, freezes, the targets, and every byte of the artifacts. A crash anywhere
// brings the same message again, and the driver's class says what that means.
package execute

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
	"golang.org/x/sync/errgroup"
)

// parallel bounds how many targets of a wave are changed at a time.
const parallel = 8

// New returns the step.
func New(s *site.Site, now func() time.Time) reactor.Step {
	return reactor.Step{ID: procedure.StepExecute, Act: shell{s, now}.act}
}

type shell struct {
	*site.Site
	now func() time.Time
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if t.State.Phase == procedure.PhaseExecute {
		return s.start(ctx, t)
	}
	mine, gone := s.Mine(t, site.CausedBy(t.History, t.State.Claim))
	switch {
	case mine:
		return s.effect(ctx, t)
	case !gone:
		return nil, nil // whoever claimed it is at work
	}
	ok, wait := procedure.MayTakeOver(t.State, t.State.WaveTargets(), t.Now)
	switch {
	case ok:
		return s.claim(ctx, t)
	case wait > 0:
		return nil, reactor.RetryAfter(wait, errAtWork)
	}
	return []eventstore.Draft{t.Draft(procedure.DecideExecuted(t.State, s.unknown(t), lost))}, nil
}

var errAtWork = errors.New("another executor holds the claim")

const lost = "the executor was lost while the driver was at work, and nobody can tell whether it had its effect"

func (s shell) unknown(t reactor.Task) []*releasev1.TargetResult {
	var out []*releasev1.TargetResult
	for _, target := range t.State.WaveTargets() {
		out = append(out, &releasev1.TargetResult{Target: target, Status: releasev1.TargetResult_STATUS_UNKNOWN, Message: lost})
	}
	return out
}

// claim takes the wave and its targets in one batch.
func (s shell) claim(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	deadline := t.Now.Add(t.State.Requested.GetTimeouts().GetExecute().AsDuration())
	locks, busy, err := s.Locks(ctx, t, t.State.WaveTargets(), deadline)
	if err != nil {
		return nil, err
	}
	if busy != "" {
		return s.hold(ctx, t, []*releasev1.HoldReason{{
			Rule: procedure.HoldTargetBusy, Subject: busy, Message: "a target of the wave is held by release " + busy,
		}}, time.Time{})
	}
	// The digest is computed here, from the record that this executor folded and
	// verified, and not copied from the authorization.
	event := procedure.DecideClaim(t.State, s.Name, procedure.ChangeDigest(t.State), deadline, deadline)
	return append([]eventstore.Draft{t.Draft(event)}, locks...), nil
}

// effect has the drivers change the targets of the wave that this executor holds.
func (s shell) effect(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if err := failpoint.Hit("execute.claimed"); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithDeadline(ctx, t.State.Claim.Deadline)
	defer cancel()
	targets := t.State.WaveTargets()
	results := make([]*releasev1.TargetResult, len(targets))
	group, work := errgroup.WithContext(bounded)
	group.SetLimit(parallel)
	for i, target := range targets {
		group.Go(func() error {
			r, err := s.apply(work, t, target)
			results[i] = r
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return s.giveWay(ctx, err)
	}
	if err := failpoint.Hit("execute.applied"); err != nil {
		return nil, err
	}
	return []eventstore.Draft{t.Draft(procedure.DecideExecuted(t.State, results, failures(results)))}, nil
}

// giveWay handles what is not a result: a newer executor has the target, or the
// effect was not even tried.
func (s shell) giveWay(ctx context.Context, err error) ([]eventstore.Draft, error) {
	switch {
	case site.Lost(err):
		return nil, nil
	case site.Retry(err) && ctx.Err() == nil:
		return nil, reactor.RetryAfter(time.Second, err)
	}
	return nil, err
}

// apply changes one target. An error means that nothing can be said about it yet.
func (s shell) apply(ctx context.Context, t reactor.Task, target string) (*releasev1.TargetResult, error) {
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
	if err != nil {
		if !site.Permanent(err) {
			return nil, err
		}
		return s.Result(ctx, target, fence, driver.Result{}, err, started, s.now()), nil
	}
	if err := failpoint.Hit("execute.fenced"); err != nil {
		return nil, err
	}
	r, err := d.Apply(ctx, driver.ApplyKey(t.State.Release, t.State.Wave, t.State.Attempt), fence, plan)
	if site.Lost(err) || site.Retry(err) {
		return nil, err
	}
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		// The process is ending, or a neighbor lost its target: not a failure of this
		// one. Who takes over finds out what happened.
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	return s.Result(context.WithoutCancel(ctx), target, fence, r, err, started, s.now()), nil
}

func failures(results []*releasev1.TargetResult) string {
	out := ""
	for _, r := range results {
		if r.GetStatus() == releasev1.TargetResult_STATUS_DONE {
			continue
		}
		if out != "" {
			out += "; "
		}
		out += "target " + r.GetTarget() + ": " + r.GetMessage()
	}
	return out
}
