package site

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// sealTime bounds how long a target is waited for that is to be sealed.
const sealTime = 5 * time.Second

// Lose is what is said of every target of a claim whose executor was lost, where
// nobody may repeat what it was at. It seals the targets first: the executor may be
// asleep and not dead, and what it has not begun by now it must not begin after a
// person has looked (PD-5.2). The results name no fence, for nobody asked the targets
// under the claim; so no decision counts before it is over, whether or not the targets
// could be reached.
//
// A target that had not begun is unknown all the same: another executor may have its
// markers elsewhere. What was found is in the message, for whoever looks.
func (s *Site) Lose(ctx context.Context, state procedure.State, targets []string, reason string, key func(target string) driver.Key) ([]*releasev1.TargetResult, error) {
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	results := Unknown(targets, reason)
	failures := make([]error, len(targets))
	var all sync.WaitGroup
	for i, id := range targets {
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			status, err := s.seal(ctx, id, key(id), driver.Fence{Epoch: epoch, Sequence: target.Fence})
			failures[i] = err
			results[i].Message = Line(reason + ": " + found(status, err, state.Claim.Deadline))
		})
	}
	all.Wait()
	for i, err := range failures {
		if err != nil {
			slog.WarnContext(ctx, "a target of a lost executor was not sealed", slog.String("target", targets[i]), slog.Any("error", err))
		}
	}
	return results, ctx.Err()
}

// Shut seals what was claimed on a target before it is let go, unless it is known to
// be complete under the newest lock: whoever is asleep with a claim must not wake to a
// target that is nobody's, or somebody else's. A target that cannot be reached is let
// go all the same, because a person may have taken the release as it is for that.
func (s *Site) Shut(ctx context.Context, state procedure.State, id string, target standing.Target) error {
	last := state.Result(id)
	if target.LockedBy != state.Release || last.GetStatus() == releasev1.TargetResult_STATUS_DONE && last.GetFence() == target.Fence {
		return nil
	}
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return err
	}
	wave := state.Scoped(id).GetWave()
	var keys []driver.Key
	if wave == state.Wave && state.Attempt > 0 {
		keys = append(keys, driver.ApplyKey(state.Release, wave, state.Attempt))
	}
	if state.RollbackAttempt > 0 {
		keys = append(keys, driver.RollbackKey(state.Release, wave, state.RollbackAttempt))
	}
	for _, key := range keys {
		if _, err := s.seal(ctx, id, key, driver.Fence{Epoch: epoch, Sequence: target.Fence}); err != nil {
			slog.WarnContext(ctx, "a target is let go that was not sealed", slog.String("target", id), slog.Any("error", err))
		}
	}
	return ctx.Err()
}

// Untouched reports whether nothing was begun with a key, by what its target knows of it.
func Untouched(status driver.Status) bool {
	return status == driver.StatusNotStarted || status == driver.StatusSealed
}

// NotBegun seals a key on a target under the newest lock, and reports whether nothing had
// been begun with it: what is said to have been skipped must not be begun afterwards by
// an executor that sleeps with an older claim.
func (s *Site) NotBegun(ctx context.Context, id string, key driver.Key) (bool, error) {
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return false, err
	}
	target, err := standing.ReadTarget(ctx, s.Store, id)
	if err != nil {
		return false, err
	}
	status, err := s.seal(ctx, id, key, driver.Fence{Epoch: epoch, Sequence: target.Fence})
	return err == nil && Untouched(status), err
}

func (s *Site) seal(ctx context.Context, target string, key driver.Key, fence driver.Fence) (driver.Status, error) {
	d, err := s.Driver(target)
	if err != nil {
		return driver.StatusUnknown, err
	}
	ctx, cancel := context.WithTimeout(ctx, sealTime)
	defer cancel()
	return d.Seal(ctx, key, fence)
}

// found says what a seal found, for people.
func found(status driver.Status, err error, until time.Time) string {
	switch {
	case err != nil:
		return fmt.Sprintf("it could not be sealed, and may begin until %s: %v", until.UTC().Format(time.RFC3339), err)
	case Untouched(status):
		return "it had not begun, and cannot any more"
	case status == driver.StatusUnknown:
		return "it was begun, and its end is not on record"
	}
	return "by the driver's record it is " + status.String()
}
