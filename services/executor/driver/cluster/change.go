package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Change is one call that changes the namespace, by a driver that keeps its record there.
type Change struct {
	*Namespace
	// Server is where the namespace is.
	Server *Server
	// Key and Fence are those of the call.
	Key   driver.Key
	Fence driver.Fence
	// Runner tells the call from others with the same key; "" where they may be at work beside each
	// other.
	Runner string
	// Back says that the call is a rollback.
	Back bool
	// Digest is what the target is to carry, Other what it may carry before a rollback.
	Digest, Other string
	// Objects are what Digest is made of.
	Objects Set
	// Stays, which may be nil, says of an object that is not wanted any more that it stays.
	Stays func(*unstructured.Unstructured) bool
	// Timeout is how long objects may take to become ready.
	Timeout time.Duration
}

// Admit lets the call in or not, and says whether there is nothing left to do.
func (c Change) Admit(ctx context.Context) (finished bool, err error) {
	if c.Key.IsRollback() != c.Back {
		return false, fmt.Errorf("key %s goes the other way: %w", c.Key, driver.ErrInvalid)
	}
	_, err = c.Update(ctx, c.Server, func(r Record) (Record, error) {
		next, repeated, err := r.Admit(c.Key, c.Fence, c.Digest)
		if err != nil {
			return r, err
		}
		inPlace := r.Carries == c.Digest && !r.Pending
		switch {
		case !c.Back:
			finished = repeated && inPlace
		case r.Carries == c.Digest:
			// Back where it was, or never left.
			finished = inPlace
		case r.Carries != "" && r.Carries != c.Other && !r.Pending:
			return r, fmt.Errorf("carries %s, neither the release nor what was before it: %w", r.Carries, driver.ErrConflict)
		default:
			finished = false
		}
		next.Done = finished
		r.Record, r.Installation = next, c.installation
		return r, nil
	})
	return finished, err
}

// Begin keeps what the change may place, before it does.
func (c Change) Begin(ctx context.Context, objects []Ref) (Record, error) {
	return c.Update(ctx, c.Server, func(r Record) (Record, error) {
		if err := c.has(r); err != nil {
			return r, err
		}
		r.Pending = true
		for _, o := range objects {
			if !Has(r.Objects, o) {
				r.Objects, r.Fresh = append(slices.Clip(r.Objects), o), append(slices.Clip(r.Fresh), o)
			}
		}
		return r, nil
	})
}

// Finish says that all is done: what is there now, and which objects were not there to be
// deleted. More, which may be nil, adds what else the driver remembers.
func (c Change) Finish(ctx context.Context, there, missing []Ref, more func(*Record)) error {
	_, err := c.Update(ctx, c.Server, func(r Record) (Record, error) {
		if err := c.has(r); err != nil {
			return r, err
		}
		r.Pending, r.Done, r.Carries = false, true, c.Digest
		r.Objects, r.Fresh, r.Doubtful = there, nil, missing
		if more != nil {
			more(&r)
		}
		return r, nil
	})
	return err
}

// Holds says whether the call still has the target: an error that wraps driver.ErrStaleFence
// where it has not.
func (c Change) Holds(ctx context.Context) error {
	r, err := c.Load(ctx, c.Server)
	if err != nil {
		return err
	}
	return c.has(r)
}

func (c Change) has(r Record) error {
	if err := r.Holds(c.Key, c.Fence); err != nil {
		return err
	}
	if c.Runner != "" && r.Runner != c.Runner {
		return fmt.Errorf("key %s: another call with it is at work: %w", c.Key, driver.ErrStaleFence)
	}
	return nil
}

// Attend waits until no other call with the same key is at work, and says whether it has done it all by
// then. An error wraps driver.ErrBusy where ctx ends first. Calls with other keys are not waited for:
// they are refused.
func (c Change) Attend(ctx context.Context) (finished bool, err error) {
	ticker := time.NewTicker(sealEvery)
	defer ticker.Stop()
	var seen Record
	var since time.Time
	for {
		r, err := c.Load(ctx, c.Server)
		switch {
		case ctx.Err() != nil && seen.Runner != "":
			return false, fmt.Errorf("%w: another call with key %s is at work: %w", driver.ErrBusy, c.Key, context.Cause(ctx))
		case err != nil:
			return false, err
		}
		if err := r.Holds(c.Key, c.Fence); err != nil {
			return false, err
		}
		switch {
		case r.Done:
			return true, nil
		case r.RunnerKey != c.Key:
			if err = c.takes(ctx, r); !errors.Is(err, errMoved) {
				return false, err
			}
		case r.version != seen.version:
			seen, since = r, time.Now()
		case time.Since(since) >= quiet:
			if err = c.takes(ctx, r); !errors.Is(err, errMoved) {
				return false, err
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// takes makes the call the one at work, as long as the record is as it was.
func (c Change) takes(ctx context.Context, still Record) error {
	_, err := c.Update(ctx, c.Server, func(r Record) (Record, error) {
		if r.Runner == c.Runner && r.RunnerKey == c.Key {
			return r, nil // After a lost answer.
		}
		if r.version != still.version {
			return r, errMoved
		}
		r.Runner, r.RunnerKey = c.Runner, c.Key
		return r, nil
	})
	return err
}
