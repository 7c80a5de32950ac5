package deadline

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// restoreEvery is how many sweeps go by between two looks for releases that the bucket
// does not know.
const restoreEvery = 20

// Sweep is the second net, below the server's scheduler: it looks at every release
// whose remembered deadline is past by more than late, and calls missed for it. The
// third net is below the bucket: at the beginning and then once in restoreEvery
// sweeps it sets the timer of every release that open names and the bucket does not
// know. It returns when the context is done.
func (c *Clock) Sweep(ctx context.Context, every, late time.Duration, open func(context.Context) ([]string, error), missed func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for sweeps := 0; ; sweeps++ {
		if sweeps%restoreEvery == 0 {
			if err := c.restore(ctx, open); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "cannot restore deadlines", slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.sweepOnce(ctx, late, missed); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "cannot sweep deadlines", slog.Any("error", err))
		}
	}
}

func (c *Clock) sweepOnce(ctx context.Context, late time.Duration, missed func()) error {
	keys, err := c.bucket.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("list deadlines: %w", err)
	}
	for release := range keys.Keys() {
		at, _, err := c.armed(ctx, release)
		if err != nil || at.IsZero() || c.now().Before(at.Add(late)) {
			continue
		}
		missed()
		if err := c.look(ctx, release, at); err != nil {
			slog.WarnContext(ctx, "cannot look at an overdue release", slog.String("release", release), slog.Any("error", err))
		}
	}
	return nil
}

// restore looks at open releases whose deadline is not remembered: the bucket is kept
// beside the record and is not part of it, and may be lost without it.
func (c *Clock) restore(ctx context.Context, open func(context.Context) ([]string, error)) error {
	releases, err := open(ctx)
	if err != nil {
		return fmt.Errorf("list open releases: %w", err)
	}
	for _, release := range releases {
		at, _, err := c.armed(ctx, release)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			continue
		}
		if err := c.look(ctx, release, time.Time{}); err != nil {
			slog.WarnContext(ctx, "cannot look at a release without a timer", slog.String("release", release), slog.Any("error", err))
		}
	}
	return nil
}

// Waiting returns every release that is not at an end: those have a deadline. It
// implements authorize.Waiting.
func (c *Clock) Waiting(ctx context.Context) ([]string, error) {
	keys, err := c.bucket.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list open releases: %w", err)
	}
	var all []string
	for release := range keys.Keys() {
		all = append(all, release)
	}
	// A list that was cut off looks like one that is complete.
	return all, ctx.Err()
}
