// Package wake wakes releases that wait for a target when it is free, so that the next one in
// turn goes on at once (PD-5.2).
//
// It wakes when a release has let its targets go, and appends target_freed to the histories of
// those that wait for nothing but targets, have all of these free, and have nobody before
// them: package queue. Nothing is decided by that; whoever is woken looks at everything again.
//
// Nobody is lost between two looks. One that found a target held, and whose hold is stored
// after the target was let go, was not among those that wait; so this wakes on holds as well,
// and looks whether the release that is waited for has let go meanwhile. One that was woken
// and does not take the target passes it on: its hold, its refusal or its end wakes the next
// one. And where all of this is lost, each looks again by itself, after the time of the
// recheck.
//
// One end of a release wakes another one once, however often it is delivered. It is no part of
// letting go: whatever happens to those that wait must not keep a target locked.
package wake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// atOnce bounds how many releases are woken by one batch. The others are woken by the next
// one: the step stays due.
const atOnce = 32

// New returns the step.
func New(s *site.Site, _ func() time.Time) reactor.Step {
	return reactor.Step{ID: procedure.StepWake, Act: shell{s}.act}
}

type shell struct{ *site.Site }

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	clock, err := s.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	t = t.NotBefore(clock) // By which the turns of those that wait are judged.
	if err := failpoint.Hit("wake.looked"); err != nil {
		return nil, err
	}
	var drafts []eventstore.Draft
	var errs []error
	for _, id := range procedure.EndsToTellOf(t.State) {
		if drafts, err = s.tell(ctx, t, id, drafts); err != nil {
			errs = append(errs, err)
		}
	}
	if len(drafts) == 0 {
		return nil, errors.Join(errs...)
	}
	// Who can be woken is, whatever could not be read: that comes again afterwards.
	return drafts, nil
}

// tell adds a draft for each release that the end of that one wakes.
func (s shell) tell(ctx context.Context, t reactor.Task, id string, drafts []eventstore.Draft) ([]eventstore.Draft, error) {
	h, err := s.Store.Beginning(ctx, procedure.Aggregate(id))
	if err != nil {
		return drafts, fmt.Errorf("look whether release %s let its targets go: %w", id, err)
	}
	of, by := end(id, h)
	if by.Sequence == 0 {
		return drafts, nil // Whoever waits for it is woken when it has.
	}
	let, err := s.left(ctx, of, by)
	if err != nil || len(let) == 0 {
		return drafts, err
	}
	documents, err := s.Documents(ctx, of.ProcedureDigest)
	if err != nil {
		return drafts, err
	}
	waiting, err := queue.Waiting(ctx, s.Store, of, let, documents)
	if err != nil {
		return drafts, err
	}
	if !slices.ContainsFunc(waiting, func(w queue.Waiter) bool { return w.State.Release == t.State.Release }) {
		// It may wait for a target on which no document has its service any more.
		waiting = append(waiting, queue.Waiter{State: t.State, History: t.History})
	}
	var errs []error
	for _, w := range waiting {
		if len(drafts) == atOnce {
			break
		}
		draft, err := s.wake(ctx, t, w, by, let)
		if err != nil {
			errs = append(errs, err)
		}
		if draft != nil && !slices.ContainsFunc(drafts, func(d eventstore.Draft) bool { return d.Aggregate == draft.Aggregate }) {
			drafts = append(drafts, *draft)
		}
	}
	return drafts, errors.Join(errs...)
}

// wake returns the draft that wakes a release; nil where it could not go on now, or was woken
// by that already.
func (s shell) wake(ctx context.Context, t reactor.Task, w queue.Waiter, by procedure.Freed, let []string) (*eventstore.Draft, error) {
	event := procedure.DecideFreed(w.State, by, let)
	if event == nil || told(w.History, by) {
		return nil, nil //nolint:nilnil // There is nothing to tell it.
	}
	documents, err := s.Documents(ctx, w.State.ProcedureDigest)
	if err != nil {
		return nil, fmt.Errorf("look whether release %s goes on: %w", w.State.Release, err)
	}
	next, err := queue.Next(ctx, s.Store, queue.Look{
		State: w.State, Entries: w.History.Entries, Documents: documents, Now: t.Now,
		Turn: documents[0].Document().GetDeadlines().GetRecheck().AsDuration(),
	})
	if err != nil || !next {
		return nil, err
	}
	// Decided under its own procedure, and caused by what woke this step.
	draft := reactor.Task{State: w.State, History: w.History, Cause: t.Cause, Now: t.Now}.Draft(event)
	return &draft, nil
}

// end is where a release let its targets go, by its events that count; of one that has not the
// sequence is 0.
func end(id string, h eventstore.History) (procedure.State, procedure.Freed) {
	s, at := procedure.State{Release: id}, uint64(0)
	for _, e := range h.Entries {
		next, err := procedure.Evolve(s, e)
		if err != nil {
			continue
		}
		if e.Event.GetTargetsReleased() != nil {
			at = e.Sequence
		}
		s = next
	}
	return s, procedure.Freed{Release: id, Sequence: at}
}

// left are those targets of a release that nobody had since it let them go: whoever had one
// later tells of it. So of all the ends on record, which this step reads when it is new, there
// is nothing to find out but of the last one on each target.
func (s shell) left(ctx context.Context, of procedure.State, by procedure.Freed) ([]string, error) {
	var out []string
	for _, id := range of.Touched {
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		// The batch that let them go is one piece of the stream.
		if target.Expect <= by.Sequence+uint64(len(of.Touched)) {
			out = append(out, id)
		}
	}
	return out, nil
}

// told reports whether a history holds that end already, though it may not count: an event
// that did not would not the next time either, and each stays for good.
func told(h eventstore.History, by procedure.Freed) bool {
	return slices.ContainsFunc(h.Entries, func(e procedure.Entry) bool {
		d := e.Event.GetTargetFreed()
		return d.GetRelease() == by.Release && d.GetSequence() == by.Sequence && by.Release != ""
	})
}
