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
	for name, off := range map[string]time.Duration{"behind": -9 * time.Minute, "right": 0, "ahead": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			r.Execute = 30 * time.Minute
			r.To(t, procedure.PhaseExecute)
			e := w.Executor(t, "one", nil)
			task := r.Task(t, 1)
			task.Now = task.Now.Add(off)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), task); err != nil {
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
