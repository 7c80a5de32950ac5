package drivertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// every is what drivers of all classes promise.
func (s suite) every() []promise {
	return []promise{
		{"apply places the version, and the driver says so", func(t *testing.T, h harness) {
			d := h.Open(t)
			if got, err := d.Running(t.Context()); got != "" || err != nil {
				t.Errorf("before: running %q, %v", got, err)
			}
			c := apply(1, 1, at(10))
			probe(t, d, c.Key, driver.StatusNotStarted)
			result := h.must(t, c)
			if want := h.digest(t, 1); result.Digest != want || result.Repeated {
				t.Errorf("result %q, repeated %t, want %q", result.Digest, result.Repeated, want)
			}
			probe(t, d, c.Key, driver.StatusDone)
			if got, err := d.Running(t.Context()); got != h.digest(t, 1) || err != nil {
				t.Errorf("after: running %q, %v", got, err)
			}
			h.wants(t, 1, 1)
		}},
		{"the same key twice is one effect", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			for _, f := range []driver.Fence{at(10), at(11)} {
				if result := h.must(t, apply(1, 1, f)); !result.Repeated {
					t.Errorf("under %s: the result does not say that it was done before", f)
				}
			}
			h.wants(t, 1, 1)
		}},
		{"a key with other content is refused", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			c := apply(1, 1, at(10))
			c.Version = 2
			refused(t, h, c, driver.ErrConflict)
			h.wants(t, 1, 1)
		}},
		{"malformed keys and fences are refused", func(t *testing.T, h harness) {
			for _, key := range []driver.Key{"", "a", "a/0", "a/0/x", "../a/0/1", "a/0/1/2", "A/0/1", "a/0/rollback", "a//1", "a/0/-1"} {
				c := apply(1, 1, at(10))
				c.Key = key
				refused(t, h, c, driver.ErrInvalid)
			}
			for _, f := range []driver.Fence{{}, {Epoch: "e1"}, {Sequence: 10}} {
				refused(t, h, apply(1, 1, f), driver.ErrInvalid)
			}
			h.wants(t, 0, 0)
		}},
		{"a key of the other way is refused", func(t *testing.T, h harness) {
			c := apply(1, 1, at(10))
			if _, err := h.Open(t).Apply(t.Context(), driver.RollbackKey("shop-a", 0, 1), c.Fence, h.Plan(t, 1)); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("apply with the key of a rollback: %v", err)
			}
			plan := h.Plan(t, 2)
			plan.Previous = h.digest(t, 1)
			if _, err := h.Open(t).Rollback(t.Context(), c.Key, c.Fence, plan); !errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrNoWayBack) {
				t.Errorf("rollback with the key of an apply: %v", err)
			}
			h.wants(t, 0, 0)
		}},
		{"a call whose context has ended changes nothing", func(t *testing.T, h harness) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			c := apply(1, 1, at(10))
			if _, err := c.Do(ctx, h.Open(t), func(v int) driver.Plan { return h.Plan(t, v) }); err == nil {
				t.Error("the call succeeded")
			}
			h.wants(t, 0, 0)
			h.must(t, c)
			h.wants(t, 1, 1)
		}},
		{"rollback places what was there before", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			result := h.must(t, back(2, 1, at(20)))
			if result.Digest != h.digest(t, 1) {
				t.Errorf("result %q", result.Digest)
			}
			if got, err := h.Open(t).Running(t.Context()); got != h.digest(t, 1) || err != nil {
				t.Errorf("running %q, %v", got, err)
			}
			h.wants(t, 1, 3)
		}},
		{"two rollbacks are one", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			h.must(t, back(2, 1, at(20)))
			if result := h.must(t, back(2, 1, at(21))); !result.Repeated {
				t.Error("the second does not say that it was done before")
			}
			h.wants(t, 1, 3)
		}},
		{"rollback of what was never applied changes nothing", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, back(2, 1, at(20)))
			h.wants(t, 1, 1)
			if got, err := h.Open(t).Running(t.Context()); got != h.digest(t, 1) || err != nil {
				t.Errorf("running %q, %v", got, err)
			}
		}},
		{"rollback to nothing is no way back", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			refused(t, h, back(1, 1, at(10)), driver.ErrNoWayBack)
			h.wants(t, 1, 1)
		}},
		{"preview changes nothing and repeats itself", func(t *testing.T, h harness) {
			preview(t, h, 1, "", false)
			h.must(t, apply(1, 1, at(10)))
			preview(t, h, 2, h.digest(t, 1), true)
			h.must(t, apply(2, 1, at(20)))
			preview(t, h, 3, h.digest(t, 2), true)
		}},
		{"of many calls with one key, one has the effect", func(t *testing.T, h harness) {
			var calls sync.WaitGroup
			for range 4 {
				calls.Go(func() {
					if _, err := h.do(t, apply(1, 1, at(10))); err != nil && !errors.Is(err, driver.ErrBusy) {
						t.Errorf("%v", err)
					}
				})
			}
			calls.Wait()
			h.wants(t, 1, 1)
		}},
		{"an attempt under a superseded key is refused", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			h.must(t, back(2, 1, at(20)))
			refused(t, h, apply(2, 1, at(20)), driver.ErrStaleFence)
			refused(t, h, apply(2, 2, at(20)), driver.ErrStaleFence)
			h.wants(t, 1, 3)
		}},
		{"a later attempt after a rollback brings the version forth again", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			h.must(t, back(2, 1, at(20)))
			h.must(t, apply(2, 2, at(30)))
			h.wants(t, 2, 4)
			h.must(t, back(2, 2, at(30)))
			h.wants(t, 1, 5)
		}},
	}
}

func probe(t *testing.T, d driver.Driver, key driver.Key, want driver.Status) {
	t.Helper()
	if got, err := d.Probe(t.Context(), key); got != want || err != nil {
		t.Errorf("probe of %s: %s, %v; want %s", key, got, err, want)
	}
}

// refused makes a call that must fail in a certain way.
func refused(t *testing.T, h harness, c Call, want error) {
	t.Helper()
	if _, err := h.do(t, c); !errors.Is(err, want) {
		t.Errorf("%q under %s: got %v, want %v", c.Key, c.Fence, err, want)
	}
}

func preview(t *testing.T, h harness, version int, previous string, ready bool) {
	t.Helper()
	before := h.State(t)
	plan := h.Plan(t, version)
	plan.Previous = previous
	first, err := h.Open(t).Preview(t.Context(), plan)
	if err != nil {
		t.Fatalf("preview of version %d: %v", version, err)
	}
	second, err := h.Open(t).Preview(t.Context(), plan)
	if err != nil || first != second {
		t.Errorf("preview of version %d differs from itself: %+v and %+v, %v", version, first, second, err)
	}
	if first.RollbackReady != ready || first.RollbackReason == "" || first.Summary == "" {
		t.Errorf("preview of version %d: %+v; want the way back to %q, ready %t, with a reason", version, first, previous, ready)
	}
	if after := h.State(t); after != before {
		t.Errorf("preview of version %d changed the target from\n%s\nto\n%s", version, before, after)
	}
}
