package drivertest

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// What an ordeal does in one of its steps, and what must be so afterwards.

// plain makes a call that nothing disturbs. Whatever was before, it succeeds; of an opaque
// target only where it can be told that nothing was begun.
func (o *ordeal) plain(t *testing.T, c Call) {
	t.Helper()
	fresh := !o.called[c.Key]
	err := o.try(t, c, "undisturbed", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), o.patience())
		defer cancel()
		return o.insist(ctx, t, c)
	})
	if err != nil && o.away == nil && (fresh || !o.opaque) {
		t.Errorf("%s: %v, and nothing disturbed it", c.Key, err)
	}
}

// insist makes a call again while the target is busy, which is no failure: a process that is
// about to become another one has the locks of the one that it came from.
func (o *ordeal) insist(ctx context.Context, t *testing.T, c Call) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := o.call(ctx, t, c, o.h.Open(t))
		if !errors.Is(err, driver.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// twice has three executors make the same call at once.
func (o *ordeal) twice(t *testing.T, c Call) {
	t.Helper()
	fresh := !o.called[c.Key]
	err := o.try(t, c, "three at once", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), o.patience())
		defer cancel()
		errs := make([]error, 3)
		var calls sync.WaitGroup
		for i := range errs {
			calls.Go(func() { errs[i] = o.insist(ctx, t, c) })
		}
		calls.Wait()
		for _, err := range errs {
			if err == nil {
				return nil
			}
		}
		return errors.Join(errs...)
	})
	if err != nil && o.away == nil && (fresh || !o.opaque) {
		t.Errorf("%s: %v, and nothing disturbed it", c.Key, err)
	}
}

// sleep makes a call in an executor that stops at the point. Somebody wakes it later.
func (o *ordeal) sleep(t *testing.T, c Call, point string) {
	t.Helper()
	var wake func()
	reached := false
	_ = o.try(t, c, "asleep at "+point, func() error {
		wake, reached = o.h.Sleep(t, point, c)
		return errAway
	})
	if reached {
		o.away = &away{call: c, wake: wake}
	}
}

// trouble makes a call to a target that has one. It ends at once, or what is on its way then
// arrives later.
func (o *ordeal) trouble(t *testing.T, c Call, name string) {
	t.Helper()
	var over func()
	// Only where something may be on its way is there something that ends later.
	later := o.h.Remote && o.dice.IntN(2) == 0
	_ = o.try(t, c, name, func() error {
		d, end := o.h.Troubles[name](t)
		ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(o.h.Gone, o.h.slow()))
		defer cancel()
		err := o.call(ctx, t, c, d)
		if over = end; !later {
			over()
		}
		return err
	})
	if later {
		o.away = &away{call: c, wake: over, late: o.done}
	}
}

// wake lets a call go on that was away. Where a newer one, or a seal, succeeded meanwhile,
// nothing comes of it.
func (o *ordeal) wake(t *testing.T) {
	t.Helper()
	a := o.away
	o.away = nil
	before, effects := o.version(t), o.h.Effects(t)
	a.wake()
	if more := o.h.Effects(t) - effects; a.late && more != 0 {
		t.Errorf("%s under %s came back late, and had %d effects", a.call.Key, a.call.Fence, more)
	}
	after := o.changed(t, a.call, before, effects)
	o.note("%s under %s comes back, late %t; carried %d, carries %d", a.call.Key, a.call.Fence, a.late, before, after)
}

// seal shuts out the newest call. It changes nothing, and from then on nothing comes of it
// where nothing had begun.
func (o *ordeal) seal(t *testing.T) {
	t.Helper()
	o.fence++
	before, effects := o.version(t), o.h.Effects(t)
	ctx, cancel := context.WithTimeout(t.Context(), o.patience())
	defer cancel()
	status, err := o.h.Open(t).Seal(ctx, o.now.Key, at(o.fence))
	o.note("seal %s under %s: %s, %v", o.now.Key, at(o.fence), status, err)
	if o.h.Effects(t) != effects || o.version(t) != before {
		t.Errorf("the seal of %s changed the target", o.now.Key)
	}
	if err != nil {
		if o.away == nil {
			t.Errorf("seal of %s: %v, and nobody was at work", o.now.Key, err)
		}
		// Where somebody else was at work nothing was changed. Of any other error nobody knows how far
		// the seal came, and an executor takes the next attempt.
		o.sealed = o.sealed || !errors.Is(err, driver.ErrBusy)
		return
	}
	// An opaque target is sealed key by key; others refuse all older fences from then on.
	if o.away != nil && (!o.opaque || o.away.call.Key == o.now.Key) {
		o.away.late = true
	}
	switch status {
	case driver.StatusNotStarted, driver.StatusSealed:
		o.sealed = true
		o.dead = append(o.dead, o.now)
	case driver.StatusDone:
		if got := o.version(t); got != o.now.want() {
			t.Errorf("%s is done by its seal, and the target carries version %d", o.now.Key, got)
		}
	case driver.StatusUnknown, driver.StatusStarted, driver.StatusFailed, driver.StatusSuperseded:
		// Who was there and is not any more: the next attempt completes it.
		o.sealed = true
	}
}

// forestall seals the first attempt of a release before anybody makes it.
func (o *ordeal) forestall(t *testing.T) {
	t.Helper()
	o.fence++
	if o.now.Key != "" {
		o.past = append(o.past, o.now)
	}
	o.now, o.done, o.sealed = o.fresh(t), false, false
	o.seal(t)
	if !o.sealed {
		t.Errorf("%s was not sealed, and nobody had made it", o.now.Key)
	}
	o.called[o.now.Key] = true
}

// stale makes a call that must be refused, and changes nothing.
func (o *ordeal) stale(t *testing.T, c Call) {
	t.Helper()
	before, effects := o.version(t), o.h.Effects(t)
	ctx, cancel := context.WithTimeout(t.Context(), o.patience())
	defer cancel()
	err := o.call(ctx, t, c, o.h.Open(t))
	o.note("%s under %s comes late: %v", c.Key, c.Fence, err)
	switch {
	case o.h.Effects(t) != effects || o.version(t) != before:
		t.Errorf("%s under %s came late, and changed the target", c.Key, c.Fence)
	case errors.Is(err, driver.ErrStaleFence), errors.Is(err, driver.ErrSealed), err != nil && o.away != nil:
	default:
		t.Errorf("%s under %s came late: %v, want %v", c.Key, c.Fence, err, driver.ErrStaleFence)
	}
}

// astray makes a call to a place that is another target's: it is refused, and neither changes.
func (o *ordeal) astray(t *testing.T) {
	t.Helper()
	before, effects := o.version(t), o.h.Effects(t)
	d, untouched := o.h.Astray(t)
	c := o.fresh(t)
	o.releases--
	ctx, cancel := context.WithTimeout(t.Context(), o.h.slow())
	defer cancel()
	err := o.call(ctx, t, c, d)
	o.note("%s to another target: %v", c.Key, err)
	if err == nil {
		t.Errorf("%s was done to another target", c.Key)
	}
	if !untouched() || o.h.Effects(t) != effects || o.version(t) != before {
		t.Errorf("%s to another target changed something: %v", c.Key, err)
	}
}
