package drivertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// notOpaque is what drivers promise that can tell what happened.
func (s suite) notOpaque() []promise {
	var list []promise
	for _, point := range s.lent {
		list = append(list, promise{fmt.Sprintf("crash at %s, and the outcome can be known", point), func(t *testing.T, h harness) {
			c := apply(1, 1, at(10))
			crash(t, h, point, c)
			status, err := h.Open(t).Probe(t.Context(), c.Key)
			if err != nil || status == driver.StatusUnknown {
				t.Fatalf("probe: %s, %v", status, err)
			}
			if status == driver.StatusDone {
				h.wants(t, 1, 1)
			}
		}})
	}
	return list
}

// probeable is what a driver promises that must be asked before it is repeated.
func (s suite) probeable() []promise {
	var list []promise
	for _, point := range s.lent {
		list = append(list, promise{fmt.Sprintf("crash at %s, probe, then repeat what is not done", point), func(t *testing.T, h harness) {
			c := apply(1, 1, at(10))
			crash(t, h, point, c)
			if status, err := h.Open(t).Probe(t.Context(), c.Key); err != nil {
				t.Fatal(err)
			} else if status != driver.StatusDone {
				h.must(t, c)
			}
			h.wants(t, 1, 1)
		}})
	}
	return list
}

// opaque is what a driver promises that can neither refuse nor tell: at most once,
// and the truth about not knowing.
func (s suite) opaque() []promise {
	list := s.fences()
	for _, point := range s.lent {
		list = append(list,
			promise{fmt.Sprintf("crash at %s, then the same key: done or unknown, never twice", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				c := apply(2, 1, at(20))
				crash(t, h, point, c)
				for _, f := range []driver.Fence{at(20), at(21), at(22)} {
					c.Fence = f
					_, err := h.do(t, c)
					running, unknown := h.Open(t).Running(t.Context())
					status, probed := h.Open(t).Probe(t.Context(), c.Key)
					switch {
					case err == nil:
						h.wants(t, 2, 2)
						if running != h.digest(t, 2) || unknown != nil || status != driver.StatusDone || probed != nil {
							t.Errorf("running %q, %v; probe %s, %v", running, unknown, status, probed)
						}
					case errors.Is(err, driver.ErrUnknown):
						if !errors.Is(unknown, driver.ErrUnknown) || status != driver.StatusUnknown || probed != nil {
							t.Errorf("running %q, %v; probe %s, %v; want unknown", running, unknown, status, probed)
						}
					default:
						t.Errorf("got %v, want success or %v", err, driver.ErrUnknown)
					}
					if n := h.Effects(t); n > 2 {
						t.Fatalf("the target had %d effects: the command ran again", n)
					}
				}
			}},
			promise{fmt.Sprintf("crash of a rollback at %s, then again: done or unknown, never twice", point), func(t *testing.T, h harness) {
				h.must(t, apply(1, 1, at(10)))
				h.must(t, apply(2, 1, at(20)))
				crash(t, h, point, back(2, 1, at(20)))
				for range 2 {
					if _, err := h.do(t, back(2, 1, at(21))); err != nil && !errors.Is(err, driver.ErrUnknown) {
						t.Errorf("got %v, want success or %v", err, driver.ErrUnknown)
					}
				}
				if n := h.Effects(t); n > 3 {
					t.Errorf("the target had %d effects, at most 3 are right", n)
				}
			}},
		)
	}
	return append(list, promise{"only a new attempt runs again after an unknown outcome", func(t *testing.T, h harness) {
		h.must(t, apply(1, 1, at(10)))
		unknown := false
		for i, point := range s.lent {
			c := apply(2, uint32(i+1), at(uint64(20+10*i)))
			h.Crash(t, point, c)
			if _, err := h.do(t, c); !errors.Is(err, driver.ErrUnknown) {
				continue
			}
			unknown = true
			before := h.Effects(t)
			h.must(t, apply(2, uint32(i+100), at(uint64(25+10*i))))
			if got := h.Carries(t); got != h.digest(t, 2) || h.Effects(t) > before+1 {
				t.Errorf("after a person's word: carries %q after %d effects", got, h.Effects(t))
			}
			break
		}
		if !unknown {
			t.Error("no crash left an unknown outcome: the points miss the effect, or the class is wrong")
		}
	}})
}
