package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// lookEvery is the time between two looks at objects that are not ready.
const lookEvery = 500 * time.Millisecond

var (
	errFailed = errors.New("has failed")
	errSlow   = errors.New("not ready in time")
)

// Ready waits until every object is as it is to be: after those that were waited for, all are
// looked at once more. Why says in a line what the one lacks that
// is not; the error says the same.
func (c Change) Ready(ctx context.Context) (why string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errSlow)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	all := c.Objects.Refs()
	waiting := all
	for {
		if err := c.Holds(ctx); err != nil {
			return why, slow(ctx, why, err)
		}
		var left []Ref
		for _, r := range waiting {
			state, message, err := c.State(ctx, r)
			switch {
			case err != nil:
				return why, slow(ctx, why, fmt.Errorf("%s: %w", r, err))
			case state == status.FailedStatus:
				return fmt.Sprintf("%s: %s", r, message), fmt.Errorf("%s: %w: %s", r, errFailed, message)
			case state != status.CurrentStatus:
				left = append(left, r)
				why = fmt.Sprintf("%s: %s", r, message)
			}
		}
		if len(left) == 0 {
			if len(waiting) == len(all) {
				return "", nil
			}
			waiting = all
			continue
		}
		waiting = left
		select {
		case <-ctx.Done():
			return why, slow(ctx, why, ctx.Err())
		case <-ticker.C:
		}
	}
}

// slow says what was waited for where an error came because the time was up.
func slow(ctx context.Context, why string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if why == "" {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %s", context.Cause(ctx), why)
}

// State is what kstatus says of an object.
func (c Change) State(ctx context.Context, r Ref) (state status.Status, message string, err error) {
	err = Again(ctx, func() (bool, error) {
		found, _, err := c.Live(ctx, c.Server, r)
		if err != nil {
			return false, err
		}
		if found == nil {
			state, message = status.NotFoundStatus, "is not there any more"
			return true, nil
		}
		result, err := status.Compute(found)
		if err != nil {
			return false, final{err}
		}
		state, message = result.Status, result.Message
		return true, nil
	})
	return state, message, err
}
