package drivertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// fenced is what a target promises that keeps a fence. An opaque driver refuses
// stale fences too, before it starts; see opaque.
func (s suite) fenced() []promise {
	list := append(s.fences(), []promise{
		{"a later attempt at a complete effect changes nothing", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			if result := h.must(t, apply(2, 2, at(21))); !result.Repeated {
				t.Error("the later attempt does not say that it was done before")
			}
			h.wants(t, 2, 2)
			h.must(t, back(2, 1, at(22)))
			if result := h.must(t, back(2, 2, at(23))); !result.Repeated {
				t.Error("the later rollback does not say that it was done before")
			}
			h.wants(t, 1, 3)
		}},
		{"of executors with different fences, the newest prevails", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			var calls sync.WaitGroup
			for attempt := uint32(20); attempt < 24; attempt++ {
				calls.Go(func() {
					c := apply(2+int(attempt%2), attempt, at(uint64(attempt)))
					c.Previous = 1
					_, err := h.do(t, c)
					switch {
					case attempt == 23 && err != nil:
						t.Errorf("the newest: %v", err)
					case err != nil && !errors.Is(err, driver.ErrStaleFence):
						t.Errorf("an older one: %v", err)
					}
				})
			}
			calls.Wait()
			if got := h.Carries(t); got != h.digest(t, 3) {
				t.Errorf("the target carries %q, want that of the newest fence, %q", got, h.digest(t, 3))
			}
		}},
	}...)
	return append(list, s.crashes()...)
}

// fences are the promises about stale callers, for all who refuse them.
func (s suite) fences() []promise {
	return []promise{
		{"a stale fence is refused", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			refused(t, h, apply(1, 1, at(10)), driver.ErrStaleFence)
			refused(t, h, apply(2, 1, at(19)), driver.ErrStaleFence)
			refused(t, h, apply(3, 1, at(19)), driver.ErrStaleFence)
			refused(t, h, back(2, 1, at(19)), driver.ErrStaleFence)
			h.wants(t, 2, 2)
		}},
		{"a fence of an epoch that was left is refused", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(1000)))
			h.must(t, apply(2, 1, driver.Fence{Epoch: "e2", Sequence: 5}))
			refused(t, h, apply(3, 1, at(2000)), driver.ErrStaleFence)
			h.wants(t, 2, 2)
		}},
		{"an apply that slept through the rollback is refused", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, back(2, 1, at(20)))
			refused(t, h, apply(2, 1, at(20)), driver.ErrStaleFence)
			refused(t, h, apply(2, 1, at(19)), driver.ErrStaleFence)
			h.wants(t, 1, 1)
		}},
	}
}

// crashes are the ways in which somebody goes on where a crash was. Whatever the
// point and whoever it is, the effect is had once, and completely.
func (s suite) crashes() []promise {
	var list []promise
	for _, point := range s.lent {
		list = append(list,
			promise{fmt.Sprintf("crash at %s, then the same key", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				crash(t, h, point, apply(2, 1, at(20)))
				h.must(t, apply(2, 1, at(20)))
				h.wants(t, 2, 2)
				probe(t, h.Open(t), apply(2, 1, at(20)).Key, driver.StatusDone)
			}},
			promise{fmt.Sprintf("crash at %s, then a later attempt", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				crash(t, h, point, apply(2, 1, at(20)))
				h.must(t, apply(2, 2, at(21)))
				h.wants(t, 2, 2)
				refused(t, h, apply(2, 1, at(20)), driver.ErrStaleFence)
			}},
			promise{fmt.Sprintf("crash at %s, then another release", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				crash(t, h, point, apply(2, 1, at(20)))
				h.must(t, apply(3, 1, at(30)))
				if got := h.Carries(t); got != h.digest(t, 3) {
					t.Errorf("the target carries %q, want %q", got, h.digest(t, 3))
				}
			}},
			promise{fmt.Sprintf("crash at %s, then a rollback", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				crash(t, h, point, apply(2, 1, at(20)))
				h.must(t, back(2, 1, at(20)))
				if got := h.Carries(t); got != h.digest(t, 1) {
					t.Errorf("the target carries %q, want %q", got, h.digest(t, 1))
				}
				// Either it had come to the target and left it, or it had never.
				if n := h.Effects(t); n != 1 && n != 3 {
					t.Errorf("the target had %d effects, want 1 or 3", n)
				}
			}},
			promise{fmt.Sprintf("crash of a rollback at %s, then again", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				h.must(t, apply(2, 1, at(20)))
				if !h.Crash(t, point, back(2, 1, at(20))) {
					return // the way back does not pass this point
				}
				h.must(t, back(2, 1, at(21)))
				h.must(t, back(2, 2, at(22)))
				h.wants(t, 1, 3)
			}},
		)
	}
	return list
}

// crash makes a call that is killed, and must come that far.
func crash(t *testing.T, h harness, point string, c Call) {
	t.Helper()
	if !h.Crash(t, point, c) {
		t.Fatalf("%s did not come to %s: the point is nowhere on its way", c.Key, point)
	}
}
