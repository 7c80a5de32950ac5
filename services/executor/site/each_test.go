package site_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

func done(target string) *releasev1.TargetResult {
	return &releasev1.TargetResult{Target: target, Status: releasev1.TargetResult_STATUS_DONE}
}

func statuses(results []*releasev1.TargetResult) string {
	var out []string
	for _, r := range results {
		out = append(out, r.GetTarget()+" "+strings.TrimPrefix(r.GetStatus().String(), "STATUS_"))
	}
	return strings.Join(out, ", ")
}

func TestWhatCannotBeTriedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := map[string]int{}
		results, err := site.Each(t.Context(), time.Now().Add(time.Minute), []string{"a", "b", "c"}, 1, func(_ context.Context, target string) (*releasev1.TargetResult, error) {
			calls[target]++
			if target == "b" && calls["b"] < 4 {
				return nil, fmt.Errorf("lock: %w", driver.ErrBusy)
			}
			return done(target), nil
		})
		if got := statuses(results); err != nil || got != "a DONE, b DONE, c DONE" {
			t.Errorf("%s, %v", got, err)
		}
		// The busy one stops none of the others, and those that are done are left alone.
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 4, "c": 1}, calls); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAtTheDeadlineWhatWasNotTriedHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		results, err := site.Each(t.Context(), start.Add(time.Minute), []string{"a", "b"}, 8, func(_ context.Context, target string) (*releasev1.TargetResult, error) {
			if target == "a" {
				return nil, errors.New("no route")
			}
			return done(target), nil
		})
		if got := statuses(results); err != nil || got != "a FAILED, b DONE" || time.Since(start) != time.Minute {
			t.Errorf("%s, %v after %s", got, err, time.Since(start))
		}
		if reason := site.Reason(results); reason != "target a: it could not be tried before the deadline: no route" {
			t.Errorf("reason %q", reason)
		}
	})
}

func TestADeadlineThatIsOverIsNotTriedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results, err := site.Each(t.Context(), time.Now().Add(-time.Hour), []string{"a"}, 1, func(ctx context.Context, _ string) (*releasev1.TargetResult, error) {
			return nil, ctx.Err()
		})
		if got := statuses(results); err != nil || got != "a FAILED" {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestWhoLostATargetStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		_, err := site.Each(t.Context(), time.Now().Add(time.Minute), []string{"a", "b"}, 8, func(_ context.Context, target string) (*releasev1.TargetResult, error) {
			calls.Add(1)
			if target == "a" {
				return nil, driver.ErrStaleFence
			}
			return nil, driver.ErrBusy
		})
		if !site.Lost(err) || calls.Load() != 2 {
			t.Errorf("%v after %d calls", err, calls.Load())
		}
	})
}

func TestAProcessThatEndsSaysNothingOfItsTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		results, err := site.Each(ctx, time.Now().Add(time.Hour), []string{"a"}, 1, func(context.Context, string) (*releasev1.TargetResult, error) {
			return nil, driver.ErrBusy
		})
		if results != nil || !errors.Is(err, driver.ErrBusy) {
			t.Errorf("%v, %v", results, err)
		}
	})
}

func TestNoMoreThanAllowedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		var targets []string
		for i := range 20 {
			targets = append(targets, fmt.Sprint(i))
		}
		if _, err := site.Each(t.Context(), time.Now().Add(time.Minute), targets, 3, func(_ context.Context, target string) (*releasev1.TargetResult, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(time.Second)
			now.Add(-1)
			return done(target), nil
		}); err != nil || most.Load() != 3 {
			t.Errorf("%d at a time, %v", most.Load(), err)
		}
	})
}

// TestTextsFitIntoEvents: an event that cannot be stored loses an outcome.
func TestTextsFitIntoEvents(t *testing.T) {
	for _, text := range []string{"", "short", "bro\xffken", strings.Repeat("ä", 4000), strings.Repeat("\xf0", 9000)} {
		line := site.Line(text)
		if !utf8.ValidString(line) || len(line) > 512 {
			t.Errorf("%.20q became %d bytes, valid: %t", text, len(line), utf8.ValidString(line))
		}
	}
	var targets []string
	for i := range 512 {
		targets = append(targets, fmt.Sprintf("target-%d", i))
	}
	if reason := site.Reason(site.Failed(targets, strings.Repeat("x", 900))); len(reason) > 4<<10 {
		t.Errorf("a reason of %d bytes", len(reason))
	}
}
