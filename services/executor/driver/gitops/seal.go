package gitops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := d.seal(ctx, key, f)
	if errors.Is(err, gitrepo.ErrUnavailable) || errors.Is(err, gitrepo.ErrUnanswered) {
		err = fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	if err != nil {
		return status, fmt.Errorf("seal %s on target %s: %w", key, d.target, cluster.Told(err))
	}
	return status, nil
}

func (d *Driver) seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	if err := errors.Join(key.Validate(), f.Validate()); err != nil {
		return driver.StatusUnknown, err
	}
	sent, first := false, driver.StatusUnknown
	for {
		s, err := d.settled(ctx, key)
		if err != nil {
			return driver.StatusUnknown, err
		}
		record, was, err := s.note.Seal(key, f)
		if err != nil || was == driver.StatusDone {
			return was, err
		}
		next := s.note
		next.Record, next.Target, next.Installation = record, d.target, d.installation
		if next.same(s.note) {
			if sent {
				was = first // It is sealed by what this call has pushed.
			}
			return was, nil
		}
		next.Serial++
		if !sent {
			first = was
		}
		err = d.write(ctx, state{Snapshot: s.Snapshot, sum: next.Sum}, next, nil)
		switch {
		case err == nil:
			return was, nil
		case errors.Is(err, gitrepo.ErrUnanswered):
			sent = true
		case errors.Is(err, gitrepo.ErrRaced), errors.Is(err, gitrepo.ErrUnavailable) && ctx.Err() == nil:
		default:
			return driver.StatusUnknown, wrong(err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
