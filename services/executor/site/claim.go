package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// errAtWork says that somebody else holds the claim and is not known to be gone.
var errAtWork = errors.New("another executor holds the claim")

// ErrNotCounted says that a claim does not count, although it may have been stored.
var ErrNotCounted = errors.New("claim does not count")

// Claim returns the drafts that take targets for a release: the event of the claim
// and the targets' locks, to be stored in one batch, so that the release has all of
// them or none (PD-5.2). Busy names the release that holds one of the targets;
// nothing is to be stored then.
//
// Looked holds targets as the caller looked at them: of those nobody may have done
// anything since, or the batch is refused as a conflict and everything has to be looked at
// again. What it does not hold is read here.
//
// A claim that the record would not take is never sent: its locks would be stored
// beside it and stay. Where one was refused all the same, because time passed on
// its way, its locks are given back first.
func (s *Site) Claim(ctx context.Context, t reactor.Task, event *releasev1.Event, targets []string, lease time.Time, looked map[string]standing.Target) (drafts []eventstore.Draft, busy string, err error) {
	if refused := s.refused(t); refused != nil {
		back, err := s.giveBack(ctx, t, targets)
		if err != nil || len(back) > 0 {
			return back, "", err
		}
		return nil, "", refused
	}
	if s.Seen != nil {
		if err := s.Seen(ctx); err != nil {
			return nil, "", err
		}
	}
	claim := t.Draft(event)
	if err := counts(t, claim.Event); err != nil {
		return nil, "", err
	}
	locks, busy, err := s.locks(ctx, t, targets, lease, looked)
	if err != nil || busy != "" {
		return nil, busy, err
	}
	deadline := event.GetExecutionClaimed().GetDeadline()
	if deadline == nil {
		deadline = event.GetRollbackClaimed().GetDeadline()
	}
	s.claims.remember(t.State.Release, deadline.AsTime(), t.Own())
	return append([]eventstore.Draft{claim}, locks...), "", nil
}

// counts asks the fold whether the event would count if it were stored now.
func counts(t reactor.Task, e *releasev1.Event) error {
	stored := proto.CloneOf(e)
	stored.Id, stored.Aggregate, stored.Time = "not stored", t.History.Aggregate, timestamppb.New(t.Now)
	stored.Writer, stored.Previous = procedure.WriterOf(procedure.TypeOf(e)), t.State.Head.Previous()
	_, err := procedure.Evolve(t.State, procedure.Entry{Sequence: t.History.Last + 1, Stored: t.Now, Event: stored})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotCounted, err)
	}
	return nil
}

// refused says why the newest claim of this process does not count; nil where it
// does, where there is none, and where something that counts came after it.
func (s *Site) refused(t reactor.Task) error {
	for _, e := range t.History.Entries {
		if e.Sequence <= t.State.Head.Sequence {
			continue
		}
		claimer := e.Event.GetExecutionClaimed().GetClaimer() + e.Event.GetRollbackClaimed().GetClaimer()
		if claimer != s.Name {
			continue
		}
		_, err := procedure.Evolve(t.State, e)
		return fmt.Errorf("%w: %w", ErrNotCounted, err)
	}
	return nil
}

// giveBack unlocks what this process locked with a claim that does not count.
func (s *Site) giveBack(ctx context.Context, t reactor.Task, targets []string) ([]eventstore.Draft, error) {
	var out []eventstore.Draft
	for _, id := range targets {
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		if target.LockedBy != t.State.Release || target.Claimer != s.Name || slices.Contains(t.State.Touched, id) {
			continue
		}
		out = append(out, t.Stamp(target.Draft(&releasev1.Event{Data: &releasev1.Event_TargetUnlocked{
			TargetUnlocked: &releasev1.TargetUnlocked{Release: t.State.Release, State: target.State},
		}})))
	}
	return out, nil
}

func (s *Site) locks(ctx context.Context, t reactor.Task, targets []string, lease time.Time, looked map[string]standing.Target) (locks []eventstore.Draft, busy string, err error) {
	for _, id := range targets {
		target, ok := looked[id]
		if !ok {
			if target, err = standing.ReadTarget(ctx, s.Store, id); err != nil {
				return nil, "", err
			}
		}
		held, err := s.Held(ctx, id, target, t.State.Release)
		if err != nil {
			return nil, "", err
		}
		if held {
			return nil, target.LockedBy, nil
		}
		locks = append(locks, t.Stamp(target.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{
			TargetLocked: &releasev1.TargetLocked{
				Release: t.State.Release, ChangeDigest: t.State.ChangeDigest, Claimer: s.Name,
				LeaseUntil: timestamppb.New(lease), State: target.State,
			},
		}})))
	}
	return locks, "", nil
}

// Held reports whether another release holds the target, with a lock that counts.
func (s *Site) Held(ctx context.Context, id string, target standing.Target, release string) (bool, error) {
	held, err := queue.Held(ctx, s.Store, id, target, release)
	if held || err != nil || target.LockedBy == "" || target.LockedBy == release {
		return held, err
	}
	slog.WarnContext(ctx, "a lock that nobody holds is taken over", slog.String("target", id), slog.String("release", target.LockedBy))
	return false, nil
}

// Fence returns the fence under which this executor may change a target: the place
// of its own lock, read back from the stream. Without such a lock somebody else has
// the target, and the error is driver.ErrStaleFence.
func (s *Site) Fence(ctx context.Context, release, target string) (driver.Fence, error) {
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return driver.Fence{}, err
	}
	t, err := standing.ReadTarget(ctx, s.Store, target)
	if err != nil {
		return driver.Fence{}, err
	}
	if t.LockedBy != release || t.Claimer != s.Name {
		return driver.Fence{}, fmt.Errorf("target %s: %w", target, driver.ErrStaleFence)
	}
	return driver.Fence{Epoch: epoch, Sequence: t.Fence}, nil
}

// Mine reports whether this delivery is to work on the newest claim: whether this
// process made it, or whoever made it is gone. Somebody is gone when the message on
// which they worked is delivered again, or when their lease is over.
func (s *Site) Mine(t reactor.Task) (mine, gone bool) {
	if t.State.Claim.Claimer == s.Name {
		return true, false
	}
	again := t.Delivery > 1 && t.Cause.Event.GetId() == causedBy(t.History, t.State.Claim)
	return false, again || !t.Now.Before(t.State.Claim.LeaseUntil)
}

// Waits is the error of a delivery that leaves the work to whoever holds the claim.
// The message is not given up: it comes again when the lease is over, and finds
// nothing to do then unless the claimer was lost.
func Waits(s procedure.State, now time.Time) error {
	return reactor.RetryAfter(max(s.Claim.LeaseUntil.Sub(now), time.Second), errAtWork)
}

// GiveWay ends the work of an executor that a target refuses as stale. Where another
// one has the claim, the error leaves the message to it for as long as there is
// something to do: what the loser acknowledged would not be delivered again if the
// winner were lost as well. Still says that the claim is this executor's all the same.
func (s *Site) GiveWay(ctx context.Context, t reactor.Task, now time.Time) (still bool, err error) {
	h, err := s.Store.Load(ctx, t.History.Aggregate)
	if err != nil {
		return false, err
	}
	state, _ := procedure.Fold(t.State.Release, h.Entries)
	switch {
	case state.Phase != t.State.Phase:
		return false, nil
	case state.Claim.Claimer == s.Name:
		return true, nil
	}
	return false, Waits(state, now)
}

// Reachable returns an error where this executor lacks the driver of a target: such
// a one must not take over what another one can bring to its end.
func (s *Site) Reachable(targets []string) error {
	for _, id := range targets {
		if _, err := s.Driver(id); err != nil {
			return err
		}
	}
	return nil
}

// causedBy returns the id of the event on which the newest claim was made.
func causedBy(h eventstore.History, claim procedure.Claim) string {
	for _, e := range h.Entries {
		if e.Sequence == claim.Sequence {
			return e.Event.GetCausationId()
		}
	}
	return ""
}
