package execute_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestTheClaimEndsByTheServersClock has executors whose calendars are off: a deadline
// that they wrote is minutes off by them, and not by the record.
func TestTheClaimEndsByTheServersClock(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"behind": -9 * time.Minute, "right": 0, "ahead": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			r.Execute = 30 * time.Minute
			r.To(t, procedure.PhaseExecute)
			e := w.Executor(t, "one", nil)
			task := r.Task(t, 1)
			task.Now = task.Now.Add(off)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, func() time.Time { return task.Now }), task); err != nil {
				t.Fatal(err)
			}
			claimed := r.Task(t, 1)
			stored := claimed.Cause.Stored
			for _, entry := range claimed.History.Entries {
				if entry.Sequence == claimed.State.Claim.Sequence {
					stored = entry.Stored
				}
			}
			if got, want := e.Until(claimed).Sub(task.Now), claimed.State.Claim.Deadline.Sub(stored); got != want {
				t.Errorf("by its own clock it ends after %s, by the record after %s", got, want)
			}
			// A process that did not send the claim knows no better than the record.
			if got := w.Executor(t, "two", nil).Until(claimed); !got.Equal(claimed.State.Claim.Deadline) {
				t.Errorf("another process: %s", got)
			}
		})
	}
}

// TestAClockThatIsBehindStartsInNoFreeze: the freeze began by the server's clock and not
// yet by that of the executor, whom an older event woke. It does not start, and what was
// claimed before the freeze is not begun in it.
func TestAClockThatIsBehindStartsInNoFreeze(t *testing.T) {
	for name, claimed := range map[string]bool{"before the claim": false, "between claim and effect": true} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.Execute = 30 * time.Minute
			r.To(t, procedure.PhaseExecute)
			one := w.Executor(t, "one", nil)
			behind := func() time.Time { return time.Now().Add(-9 * time.Minute) }
			turn := func() {
				task := r.Task(t, 1)
				task.Now = behind()
				if _, err := one.Turn(t.Context(), execute.New(one.Site, behind), task); err != nil {
					t.Fatal(err)
				}
			}
			want := procedure.PhaseHeld
			if claimed {
				turn()
				want = procedure.PhaseRemedy
			}
			w.Activate(t, freeze("outage", time.Now().Add(-8*time.Minute), time.Now().Add(time.Hour)))
			turn()
			if s := r.State(t); s.Phase != want || len(w.Effects(t, "eu1", r.ID)) != 0 {
				t.Errorf("phase %s, %d effects: %s", s.Phase, len(w.Effects(t, "eu1", r.ID)), s.EndReason)
			}
		})
	}
}

// TestAClockThatIsBehindDoesNotWaitForWhatIsOver: by such a clock the freeze holds on. Each
// wait would be over when it is stored, and wake the executor for the next one.
func TestAClockThatIsBehindDoesNotWaitForWhatIsOver(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	behind := func() time.Time { return time.Now().Add(-2 * time.Minute) }
	task := r.Task(t, 1)
	task.Now = behind()
	if clock, err := one.Store.Clock(t.Context()); err != nil || clock.Before(task.Cause.Stored) {
		t.Errorf("the server's clock shows %s, and it stored an event %s: %v", clock, task.Cause.Stored, err)
	}
	if _, err := one.Turn(t.Context(), execute.New(one.Site, behind), task); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t); s.Phase != procedure.PhaseExecuting {
		t.Errorf("phase %s until %s", s.Phase, s.HeldUntil)
	}
}
