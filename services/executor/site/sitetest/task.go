package sitetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Task is what the reactor would hand to a step: woken by the newest event, delivered
// for the given time.
func (r *Release) Task(t *testing.T, delivery int) reactor.Task {
	t.Helper()
	return r.TaskBy(t, r.newest(t), delivery)
}

// TaskBy is Task, woken by that event.
func (r *Release) TaskBy(t *testing.T, cause procedure.Entry, delivery int) reactor.Task {
	t.Helper()
	h := r.History(t)
	s, _ := procedure.Fold(r.ID, h.Entries)
	return reactor.Task{State: s, History: h, Cause: cause, Delivery: delivery, Now: time.Now()}
}

func (r *Release) newest(t *testing.T) procedure.Entry {
	t.Helper()
	h := r.History(t)
	return h.Entries[len(h.Entries)-1]
}

// Cause is the newest event that counts, as the one that wakes executors.
func (r *Release) Cause(t *testing.T) procedure.Entry {
	t.Helper()
	return r.newest(t)
}

// Turn lets a step of an executor act once on a release, and stores what it says.
func (e *Executor) Turn(ctx context.Context, step reactor.Step, task reactor.Task) ([]*releasev1.Event, error) {
	drafts, err := step.Act(ctx, task)
	if err != nil || len(drafts) == 0 {
		return nil, err
	}
	stored, err := storeOf(e.JS).Append(ctx, drafts...)
	var out []*releasev1.Event
	for _, s := range stored {
		out = append(out, s.Event)
	}
	return out, err
}

// Conflict says that the events were not stored, because somebody else wrote.
func Conflict(err error) bool { return errors.Is(err, eventstore.ErrSequenceConflict) }
