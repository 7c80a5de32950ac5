package reactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// busyWait is how long a worker waits for a release that another one works on.
	busyWait = 2 * time.Second
	// maxRounds bounds how often one delivery folds and acts.
	maxRounds = 100
)

// Step is the shell of one step: the one kind of work that it does in the world.
type Step struct {
	ID procedure.StepID
	// Act does the work that is due and returns the events that say so. It may be
	// called twice for the same state, by two processes at once, and again after
	// it had its effect but not its events; what must not happen twice it claims
	// first, by returning the claim alone. No drafts mean that nothing is to be
	// said now. Errors are those of Consume.
	Act func(ctx context.Context, t Task) ([]eventstore.Draft, error)
	// Outside says that Act changes something outside the record that can not be taken
	// back. It is then called with a history whose messages were counted.
	Outside bool
}

// Task is what a step is to act on.
type Task struct {
	// State is what History folds to, by a read from the stream's leader.
	State   procedure.State
	History eventstore.History
	// Cause is the event that woke the step.
	Cause procedure.Entry
	// Delivery counts the deliveries of that event, from 1.
	Delivery int
	// Now is the time to decide by: that of this machine, and never before the newest event
	// that is known was stored. A clock that is behind would find that what is over still
	// holds, and wait for it again and again.
	Now time.Time
	// Clock is what this machine's clock showed; zero where it is Now.
	Clock time.Time
}

// Own is what this machine's clock showed, for spans that it measures itself.
func (t Task) Own() time.Time {
	if t.Clock.IsZero() {
		return t.Now
	}
	return t.Clock
}

// NotBefore returns the task as of that time, where it is later.
func (t Task) NotBefore(at time.Time) Task {
	if at.After(t.Now) {
		t.Now, t.Clock = at, t.Own()
	}
	return t
}

// known is the time of storing of the newest event that the task knows of.
func (t Task) known() time.Time {
	at := t.Cause.Stored
	if n := len(t.History.Entries); n > 0 && t.History.Entries[n-1].Stored.After(at) {
		at = t.History.Entries[n-1].Stored
	}
	return at
}

// Draft returns a draft of the release's next event: it follows the head that the
// state was folded from, was caused by what woke the step, and says by which time it was
// decided (N-01): storing takes a while, and a verdict may hang on a second.
func (t Task) Draft(event *releasev1.Event) eventstore.Draft {
	if !t.Now.IsZero() {
		event.Decided = timestamppb.New(t.Now)
	}
	return t.Stamp(eventstore.Draft{
		Aggregate: t.History.Aggregate, Expect: t.History.Last, Previous: t.State.Head.Previous(), Event: event,
	})
}

// Run works on the step's messages until the context ends. It returns as Consume
// does.
func Run(ctx context.Context, js jetstream.JetStream, store *eventstore.Store, cfg Config, step Step) error {
	cfg = cfg.complete()
	r := &runner{store: store, cfg: cfg, step: step}
	return Consume(ctx, js, eventstore.StreamEvents, string(step.ID), cfg, r.handle)
}

type runner struct {
	store *eventstore.Store
	cfg   Config
	step  Step
}

func (r *runner) handle(ctx context.Context, m Message) error {
	cause, err := r.store.Open(m.Subject, m.Header, m.Data, m.Sequence, m.Stored)
	switch {
	case errors.Is(err, envelope.ErrUnknownKey) && m.Delivery < stuckAfter:
		// Its writer may have got a new key before this process got the keyring.
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnprocessable, err)
	}
	release := envelope.Correlation(cause.Event)
	if release == "" {
		return fmt.Errorf("%w: event of %s names no release", ErrUnprocessable, cause.Event.GetAggregate())
	}
	waiting, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	done, err := r.cfg.Turns.Take(waiting, release)
	if err != nil {
		return RetryAfter(jitter(busyWait), fmt.Errorf("wait for %s: %w", release, err))
	}
	defer done()
	return r.react(ctx, release, cause, m.Delivery)
}

// past reports whether this process has seen, in a history that holds the cause, that
// nothing is due. Whatever made something due afterwards wakes the step by itself, so
// the server need not be asked again. Only not acting can be decided in this way.
func (r *runner) past(release string, cause uint64) bool {
	history, ok := r.store.Known(procedure.Aggregate(release))
	if !ok || cause == 0 || history.Last < cause {
		return false
	}
	return !procedure.Due(r.step.ID, history.State, r.cfg.Now())
}

// react folds and acts until nothing is due.
func (r *runner) react(ctx context.Context, release string, cause procedure.Entry, delivery int) error {
	aggregate := procedure.Aggregate(release)
	known := uint64(0) // what the history must show at least
	if cause.Event.GetAggregate() == aggregate {
		known = cause.Sequence
	}
	if r.past(release, known) {
		return nil
	}
	own := uint64(0) // what this delivery stored last of the release
	for range maxRounds {
		history, err := r.load(ctx, aggregate)
		if err != nil {
			return err
		}
		if history.Last < known {
			// Acting on this, or finding nothing due in it, would be wrong.
			return RetryAfter(jitter(minDelay), fmt.Errorf("%s ends at %d, not %d: %w", aggregate, history.Last, known, errStale))
		}
		task := Task{State: history.State, History: history, Cause: cause, Delivery: delivery, Now: r.cfg.Now()}
		task = task.NotBefore(task.known())
		if !procedure.Due(r.step.ID, history.State, task.Now) {
			return nil
		}
		if own > history.State.Head.Sequence {
			// It is due as before: the next event would not count either, and each is on
			// record for good.
			return fmt.Errorf("release %s: event %d: %w", release, own, errDoesNotCount)
		}
		drafts, err := r.step.Act(ctx, task)
		if err != nil {
			return fmt.Errorf("release %s: %w", release, err)
		}
		if len(drafts) == 0 {
			return nil
		}
		stored, err := r.store.Append(ctx, drafts...)
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("release %s: %w", release, err)
		}
		for i, s := range stored {
			if drafts[i].Aggregate == aggregate {
				known, own = s.Sequence, s.Sequence
			}
		}
	}
	return RetryAfter(jitter(minDelay), fmt.Errorf("release %s changed %d times", release, maxRounds))
}

func (r *runner) load(ctx context.Context, aggregate string) (eventstore.History, error) {
	if r.step.Outside {
		return r.store.LoadCounted(ctx, aggregate)
	}
	return r.store.Load(ctx, aggregate)
}
