package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// beatEvery is how often whoever is at work on a target says so in its record.
	beatEvery = time.Second
	// quiet is how long nobody says so where nobody is, or is asleep.
	quiet = 3 * time.Second
	// sealEvery is the time between two looks whether somebody is.
	sealEvery = 200 * time.Millisecond
)

var errMoved = errors.New("it is not as it was a moment ago")

// Beat says again and again that somebody is at work, until stop is called, which may be
// called again.
func (c Change) Beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			// One that is lost is made up for by the next.
			_, _ = c.Update(ctx, c.Server, func(r Record) (Record, error) {
				if err := c.has(r); err != nil {
					return r, err
				}
				r.Beat++
				return r, nil
			})
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// Seal implements driver.Driver. Where a change was begun and nobody is at work on it any
// more, every object is marked, so that what is still on its way is refused.
func (n *Namespace) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := n.seal(ctx, key, f)
	if err != nil {
		return status, fmt.Errorf("seal %s on target %s: %w", key, n.Target, err)
	}
	return status, nil
}

func (n *Namespace) seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	if err := errors.Join(key.Validate(), f.Validate()); err != nil {
		return driver.StatusUnknown, err
	}
	c, err := n.Open()
	if err != nil {
		return driver.StatusUnknown, err
	}
	for {
		still, err := n.unattended(ctx, c, key)
		if err != nil {
			return driver.StatusUnknown, err
		}
		was, err := n.sealAs(ctx, c, key, f, still)
		if !errors.Is(err, errMoved) {
			return was, err
		}
	}
}

// unattended waits until nobody is at work on the target, and returns the record by which it
// is so. An error wraps driver.ErrBusy when ctx ends first.
func (n *Namespace) unattended(ctx context.Context, c *Server, key driver.Key) (Record, error) {
	ticker := time.NewTicker(sealEvery)
	defer ticker.Stop()
	var seen Record
	var since time.Time
	for {
		r, err := n.Load(ctx, c)
		switch {
		case ctx.Err() != nil && seen.Pending:
			return r, fmt.Errorf("%w: %s has begun and is not complete: %w", driver.ErrBusy, seen.Key, context.Cause(ctx))
		case err != nil:
			return r, err
		case !r.Pending || r.Status(key) == driver.StatusDone:
			return r, nil
		case r.version != seen.version:
			seen, since = r, time.Now()
		case time.Since(since) >= quiet:
			return r, nil
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// sealAs seals the key as long as nobody has begun since.
func (n *Namespace) sealAs(ctx context.Context, c *Server, key driver.Key, f driver.Fence, still Record) (driver.Status, error) {
	was, first := driver.StatusUnknown, true
	sealed, err := n.Update(ctx, c, func(r Record) (Record, error) {
		// After a lost answer it is refused by what this call has kept.
		refused := slices.Contains(r.PastKeys, key)
		if !refused && r.Pending && r.version != still.version {
			return r, errMoved
		}
		next, status, err := r.Seal(key, f)
		if first || !refused {
			was = status
		}
		first = false
		r.Record, r.Installation = next, n.installation
		return r, err
	})
	if err != nil || !sealed.Pending || was == driver.StatusDone {
		return was, err
	}
	for _, o := range sealed.Objects {
		if err := n.Mark(ctx, c, o, sealed.Stamp(), sealed.HasPlaced(o)); err != nil {
			return driver.StatusUnknown, err
		}
	}
	return was, nil
}
