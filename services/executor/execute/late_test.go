package execute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestWhatWasClaimedInTimeIsNotBegunTooLate lets time pass, or a person speak, between
// the claim and the effect, as when an executor was lost for a night.
func TestWhatWasClaimedInTimeIsNotBegunTooLate(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(t *testing.T, w *sitetest.World, r *sitetest.Release)
		now  func() time.Time
		why  string
	}{
		{"the approval expires", func(*testing.T, *sitetest.World, *sitetest.Release) {}, func() time.Time { return time.Now().Add(2 * time.Hour) }, "the approvals have expired"},
		{"a waiver expires", func(*testing.T, *sitetest.World, *sitetest.Release) {}, func() time.Time { return time.Now().Add(40 * time.Minute) }, "the waiver by anna has expired"},
		{"a freeze is declared", func(t *testing.T, w *sitetest.World, _ *sitetest.Release) {
			w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
		}, time.Now, "held by freeze outage"},
		{"an approver leaves", func(t *testing.T, w *sitetest.World, _ *sitetest.Release) { w.Activate(t, sitetest.Without("ben")) }, time.Now, "ben, whose approval was counted, is not in security any more"},
		{"a person aborts", func(t *testing.T, _ *sitetest.World, r *sitetest.Release) { r.Do(t, "eve", proceduretest.Abort()) }, time.Now, "aborted by eve"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseGates)
			r.Do(t, "", proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(30*time.Minute)))
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			lost, heir := w.Executor(t, "lost", nil), w.Executor(t, "heir", nil)
			if _, err := lost.Turn(t.Context(), execute.New(lost.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
				t.Fatal(err)
			}
			test.then(t, w, r)
			step := execute.New(heir.Site, test.now)
			for range 2 {
				if _, err := heir.Turn(t.Context(), step, r.TaskBy(t, cause, 2)); err != nil {
					t.Fatal(err)
				}
			}
			s := r.State(t)
			if s.Phase != procedure.PhaseRemedy || !strings.Contains(s.EndReason, test.why) {
				t.Errorf("in phase %s: %s", s.Phase, s.EndReason)
			}
			if len(w.Effects(t, "eu1", r.ID)) != 0 || w.Running(t, "eu1") != 1 {
				t.Error("the effect was had all the same")
			}
		})
	}
}

// TestWhatWasBegunInTimeIsBroughtToItsEnd: half of an effect is worse than all of it.
func TestWhatWasBegunInTimeIsBroughtToItsEnd(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	w.Die(t, "noop.admitted")
	w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	w.Run(t, "heir", execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	if n := len(w.Effects(t, "eu1", r.ID)); n != 1 {
		t.Errorf("%d effects", n)
	}
}

func TestAnAbortDuringAWaveTakesItBackAfterwards(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	at, goOn := make(chan struct{}, 8), make(chan struct{})
	e := w.Executor(t, "one", func(point string) {
		if point == "noop.counted" {
			at <- struct{}{}
			<-goOn
		}
	})
	e.Start(t, execute.New, rollback.New)
	<-at
	r.Do(t, "eve", proceduretest.Abort())
	close(goOn)
	r.Reaches(t, procedure.PhaseVerifyRollback)
	if story := r.Story(t); story != "execution_claimed aborted execution_finished rollback_claimed rolled_back" {
		t.Errorf("story %q", story)
	}
	if w.Running(t, "eu1") != 1 || len(w.Effects(t, "eu2", r.ID)) != 0 {
		t.Errorf("eu1 carries version %d, eu2 had %d effects", w.Running(t, "eu1"), len(w.Effects(t, "eu2", r.ID)))
	}
}

// TestATargetThatStaysBusyFailsAtTheDeadline: what could not even be tried is a failure
// in the end, and not tried for ever.
func TestATargetThatStaysBusyFailsAtTheDeadline(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.Execute = 8 * time.Second
	r.To(t, procedure.PhaseExecute)
	release := w.Occupy(t, "eu1")
	w.Run(t, "one", execute.New)
	s := r.Reaches(t, procedure.PhaseRemedy)
	if !strings.Contains(s.EndReason, driver.ErrBusy.Error()) {
		t.Errorf("ended: %s", s.EndReason)
	}
	release()
	if w.Running(t, "eu1") != 1 {
		t.Errorf("version %d", w.Running(t, "eu1"))
	}
}

func TestATargetThatIsBusyForAMomentIsWaitedFor(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	release := w.Occupy(t, "eu1")
	w.Run(t, "one", execute.New)
	natstest.Eventually(t, "the claim", func() bool { return r.State(t).Phase == procedure.PhaseExecuting })
	release()
	s := r.Reaches(t, procedure.PhaseVerify)
	if s.Attempt != 1 || len(w.Effects(t, "eu1", r.ID)) != 1 {
		t.Errorf("attempt %d, %d effects", s.Attempt, len(w.Effects(t, "eu1", r.ID)))
	}
}
