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
//	          ── claimer gone ── fenced: claim again; opaque: seal, then unknown
//	          ── claimer at work ── nothing
//
// Before the claim everything that was approved is looked at again: approvals and who
// gave them, the evidence of the gates, reviews that are owed, freezes, change records, alerts,
// releases in flight of neighboring services, the targets, what they carry, what their own
// tools say would change, and every byte of the artifacts; and what may take long
// between the claim and the effect, approvals, evidence, freezes, alerts, releases in flight and
// quarantines, once more before the effect. A crash anywhere brings the same message again, and the driver's class says
// what that means.
package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// parallel bounds how many targets of a wave are changed at a time.
const parallel = 8

// New returns the step.
func New(s *site.Site, now func() time.Time) reactor.Step {
	return reactor.Step{ID: procedure.StepExecute, Act: shell{Site: s, now: now, roots: sigstore.NewShelf(s.Blobs.Get)}.act, Outside: true}
}

type shell struct {
	*site.Site
	now func() time.Time
	// roots are the trusted roots with which the evidence of gates is verified. They are those
	// that the procedure documents name, kept as evidence: as at step 1.
	roots *sigstore.Shelf
	// gathered is what this act has read of evidence, as soon as it has; each act has its own.
	gathered **material
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	s.gathered = new(*material)
	// The record judges by the server's clock, and so does who would start: behind it,
	// a freeze would not have begun yet.
	clock, err := s.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	t = t.NotBefore(clock)
	if t.State.Phase == procedure.PhaseExecute {
		return s.start(ctx, t)
	}
	mine, gone := s.Mine(t)
	switch {
	case mine:
		return s.effect(ctx, t)
	case !gone:
		return nil, site.Waits(t.State, t.Now) // whoever claimed it is at work
	}
	ok, wait := procedure.MayTakeOver(t.State, t.State.WaveTargets(), t.Now)
	switch {
	case ok:
		if err := s.Reachable(t.State.WaveTargets()); err != nil {
			return nil, err
		}
		return s.claim(ctx, t, nil, records{}, alerted{}, proofs{})
	case wait > 0:
		return nil, site.Waits(t.State, t.Now)
	}
	results, err := s.Lose(ctx, t.State, t.State.WaveTargets(), lost, func(string) driver.Key { return key(t.State) })
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit("execute.sealed"); err != nil {
		return nil, err
	}
	return s.ended(ctx, t, results)
}

// key is that of the newest attempt at the wave in work.
func key(s procedure.State) driver.Key { return driver.ApplyKey(s.Release, s.Wave, s.Attempt) }

const lost = "the executor was lost while the driver was at work, and nobody can tell whether it had its effect"

// ended is the end of the wave in work, with what the release's own procedure document says of
// it where it failed.
func (s shell) ended(ctx context.Context, t reactor.Task, results []*releasev1.TargetResult) ([]eventstore.Draft, error) {
	event := procedure.DecideExecuted(t.State, results, site.Reason(results))
	if event.GetExecutionFailed() == nil {
		return []eventstore.Draft{t.Draft(event)}, nil
	}
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	return []eventstore.Draft{t.Draft(procedure.Prescribe(t.State, event, func(c releasev1.Cause) *releasev1.Remedy { return index.Remedy(t.State, c) }))}, nil
}

// claim takes the wave and its targets in one batch, the targets as they were looked at, and
// says what the change record and sources of alerts said.
func (s shell) claim(ctx context.Context, t reactor.Task, looked map[string]standing.Target, said records, fired alerted, shown proofs) ([]eventstore.Draft, error) {
	around, called, err := s.around(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.State.Phase == procedure.PhaseExecute { // Who takes over begins nothing.
		documents, err := s.documents(ctx, t)
		if err != nil {
			return nil, err
		}
		// What was looked at since may have taken minutes; now only the claim is left.
		holds, passed, err := s.neighbors(ctx, t, documents)
		if err != nil {
			return nil, err
		}
		if len(holds) > 0 {
			return s.wait(ctx, t, holds)
		}
		if first, err := s.first(ctx, t, documents); err != nil || first != nil {
			return first, err
		}
		called = append(unnoted(t.State, passed), called...)
	}
	sent, err := s.sending(ctx, t)
	if err != nil {
		return nil, err
	}
	deadline := sent.Now.Add(t.State.Requested.GetTimeouts().GetExecute().AsDuration())
	// The digest is computed here, from the record that this executor folded and
	// verified, and not copied from the authorization.
	event := procedure.DecideClaim(t.State, s.Name, procedure.ChangeDigest(t.State), deadline, deadline)
	event.GetExecutionClaimed().Findings = called
	event.GetExecutionClaimed().Bypassed = slices.Concat(around, said.bypassed, fired.bypassed, shown.bypassed)
	event.GetExecutionClaimed().RollbackProofs = shown.tried
	event.GetExecutionClaimed().ChangeRecords = said.readings
	event.GetExecutionClaimed().Alerts = fired.answers
	event.Unkept = slices.Concat(said.unkept, fired.unkept)
	drafts, busy, err := s.Claim(ctx, sent, event, t.State.WaveTargets(), deadline, looked)
	if err != nil {
		return nil, err
	}
	if busy != "" {
		return s.busy(ctx, t, busy)
	}
	if event.GetDecided() != nil {
		event.Decided = timestamppb.New(t.Now) // by what was looked at then
	}
	return drafts, nil
}

// sending is the task at the time at which its claim is sent. What was looked at before may have
// taken minutes, and they are none of the time that the claim gives to the drivers: neither of
// its deadline nor of what Until makes of that.
func (s shell) sending(ctx context.Context, t reactor.Task) (reactor.Task, error) {
	clock, err := s.Store.Clock(ctx)
	if err != nil {
		return t, err
	}
	if now := s.now(); now.After(t.Own()) {
		looked := t.Now
		t.Now, t.Clock = now, time.Time{}
		t = t.NotBefore(looked)
	}
	return t.NotBefore(clock), nil
}

// effect has the drivers change the targets of the wave that this executor holds.
func (s shell) effect(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if err := failpoint.Hit("execute.claimed"); err != nil {
		return nil, err
	}
	why, err := s.late(ctx, t)
	if err != nil {
		return nil, err
	}
	targets := t.State.WaveTargets()
	if why != "" {
		if err := failpoint.Hit("execute.shut"); err != nil {
			return nil, err
		}
		return s.ended(ctx, t, site.Skipped(targets, "it was not begun: "+why))
	}
	if claim, err := s.unwritten(ctx, t); err != nil || len(claim) > 0 {
		return claim, err
	}
	results, err := site.Each(ctx, s.Until(t), targets, parallel, func(ctx context.Context, target string) (*releasev1.TargetResult, error) {
		return s.apply(ctx, t, target)
	})
	if site.Lost(err) {
		return s.giveWay(ctx, t, err)
	}
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit("execute.applied"); err != nil {
		return nil, err
	}
	s.skipped(ctx, t, results)
	return s.ended(ctx, t, results)
}

// giveWay stops where somebody newer has a target. Where the claim is still this
// executor's, the target refuses it for a reason that the record does not know.
func (s shell) giveWay(ctx context.Context, t reactor.Task, stale error) ([]eventstore.Draft, error) {
	still, err := s.GiveWay(ctx, t, s.now())
	if !still {
		return nil, err
	}
	results := site.Failed(t.State.WaveTargets(), stale.Error())
	s.skipped(ctx, t, results) // it may be that this executor sealed it, and was lost
	return s.ended(ctx, t, results)
}

// apply changes one target. An error means that nothing can be said about it yet.
func (s shell) apply(ctx context.Context, t reactor.Task, target string) (*releasev1.TargetResult, error) {
	d, err := s.Driver(target)
	if err != nil {
		return site.Failed([]string{target}, err.Error())[0], nil
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
	if d.Class() == releasev1.DriverClass_DRIVER_CLASS_OPAQUE {
		if err := s.Holds(ctx, t); err != nil {
			return nil, err
		}
	}
	r, err := d.Apply(ctx, key(t.State), fence, plan)
	if site.Lost(err) || site.Retry(err) {
		return nil, err
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		// The process is ending: not a failure of the target. Who takes over finds out
		// what happened.
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	return s.Result(context.WithoutCancel(ctx), target, fence, r, err, started, s.now()), nil
}
