package drivertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// shut is how long a seal waits for a target that somebody is at work on, where the harness
// says nothing else.
const shut = 300 * time.Millisecond

// sealed is what every driver promises of attempts that somebody sealed.
func (s suite) sealed() []promise {
	list := []promise{
		{"what was sealed before it began never has its effect, and others go on", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			for _, want := range []driver.Status{driver.StatusNotStarted, driver.StatusSealed} {
				status, err := h.Open(t).Seal(t.Context(), apply(2, 1, at(20)).Key, at(20))
				if err != nil || status != want {
					t.Errorf("seal: %s, %v, want %s", status, err, want)
				}
			}
			for _, f := range []driver.Fence{at(20), at(21)} {
				kept(t, h, apply(2, 1, f))
			}
			if got, err := h.Open(t).Running(t.Context()); got != h.digest(t, 1) || err != nil {
				t.Errorf("running %q, %v", got, err)
			}
			probe(t, h.Open(t), apply(2, 1, at(20)).Key, driver.StatusSealed)
			h.wants(t, 1, 1)
			h.must(t, apply(2, 2, at(22)))
			h.wants(t, 2, 2)
		}},
		{"what was sealed on its way back stays, and another goes back", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			if status, err := h.Open(t).Seal(t.Context(), back(2, 1, at(30)).Key, at(30)); err != nil || status != driver.StatusNotStarted {
				t.Errorf("seal: %s, %v", status, err)
			}
			kept(t, h, back(2, 1, at(30)))
			h.wants(t, 2, 2)
			h.must(t, back(2, 2, at(31)))
			h.wants(t, 1, 3)
		}},
		{"a rollback of what was sealed before it began changes nothing", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			if _, err := h.Open(t).Seal(t.Context(), apply(2, 1, at(20)).Key, at(20)); err != nil {
				t.Error(err)
			}
			h.must(t, back(2, 1, at(30)))
			h.wants(t, 1, 1)
		}},
		{"what is complete cannot be sealed", func(t *testing.T, h harness) {
			c := apply(1, 1, at(10))
			h.must(t, c)
			if status, err := h.Open(t).Seal(t.Context(), c.Key, at(11)); err != nil || status != driver.StatusDone {
				t.Errorf("seal: %s, %v", status, err)
			}
			if result := h.must(t, c); !result.Repeated {
				t.Error("the result does not say that it was done before")
			}
			h.wants(t, 1, 1)
		}},
		{"malformed seals are refused", func(t *testing.T, h harness) {
			if _, err := h.Open(t).Seal(t.Context(), "../x/0/1", at(10)); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("key: %v", err)
			}
			if _, err := h.Open(t).Seal(t.Context(), apply(1, 1, at(10)).Key, driver.Fence{}); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("fence: %v", err)
			}
			h.wants(t, 0, 0)
		}},
		{"of a seal and a call at the same time, one prevails", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			var calls sync.WaitGroup
			var failure error
			calls.Go(func() { _, failure = h.do(t, apply(2, 1, at(20))) })
			calls.Go(func() {
				if _, err := h.Open(t).Seal(t.Context(), apply(2, 1, at(20)).Key, at(20)); err != nil {
					t.Error(err)
				}
			})
			calls.Wait()
			if failure != nil {
				h.wants(t, 1, 1)
			} else {
				h.wants(t, 2, 2)
			}
		}},
	}
	for _, point := range s.lent {
		list = append(list,
			promise{fmt.Sprintf("asleep at %s, sealed, and awake: nothing begins", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				asleep(t, h, point, apply(2, 1, at(20)))
				c := apply(2, 2, at(21))
				c.Previous = 1
				h.must(t, c)
				if got := h.Carries(t); got != h.digest(t, 2) {
					t.Errorf("the next attempt: the target carries %q", got)
				}
			}},
			promise{fmt.Sprintf("asleep on the way back at %s, sealed, and awake: nothing begins", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				h.must(t, apply(2, 1, at(20)))
				asleep(t, h, point, back(2, 1, at(30)))
			}},
		)
	}
	return list
}

// kept makes a call that somebody sealed.
func kept(t *testing.T, h harness, c Call) {
	t.Helper()
	if _, err := h.do(t, c); !errors.Is(err, driver.ErrSealed) && !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("%s under %s: got %v, want %v", c.Key, c.Fence, err, driver.ErrSealed)
	}
}

// asleep seals a call that is stopped at the point, and lets it go on: what had not
// begun by then must not begin any more.
func asleep(t *testing.T, h harness, point string, c Call) {
	t.Helper()
	if h.Sleep == nil {
		return
	}
	wake, reached := h.Sleep(t, point, c)
	if !reached {
		return // The way back does not pass every point.
	}
	d := h.Open(t)
	_, _ = d.Running(t.Context()) // It is connected before the time begins.
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(h.Shut, shut))
	defer cancel()
	_, err := d.Seal(ctx, c.Key, c.Fence)
	before := h.Effects(t)
	wake()
	switch {
	case err == nil && h.Effects(t) != before:
		t.Errorf("it had its effect after it was sealed")
	case err == nil, errors.Is(err, driver.ErrBusy) && d.Class() != releasev1.DriverClass_DRIVER_CLASS_OPAQUE:
	default:
		t.Errorf("seal: %v", err)
	}
}
