package execute_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// pausedInWave returns a release of two waves that was paused while its first one was under way,
// whose first wave has ended well, and the executor that is at work.
func pausedInWave(t *testing.T) (*sitetest.World, *sitetest.Release) {
	t.Helper()
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
	r.Do(t, "eve", proceduretest.Pause())
	close(goOn)
	r.Reaches(t, procedure.PhaseVerify)
	return w, r
}

// TestAPausedReleaseBeginsItsNextWaveWhenItIsResumed: the wave that is under way goes on to its
// end, and the next one begins when somebody says so, and at once (PD-5.3).
func TestAPausedReleaseBeginsItsNextWaveWhenItIsResumed(t *testing.T) {
	t.Parallel()
	w, r := pausedInWave(t)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	s := r.Reaches(t, procedure.PhaseHeld)
	if h := s.Holds; len(h) != 1 || h[0].GetRule() != procedure.HoldPaused || h[0].GetSetBy() != "eve" || h[0].GetMessage() != "customers call" || h[0].GetUntil() != nil {
		t.Errorf("held by %v", h)
	}
	if len(w.Effects(t, "eu2", r.ID)) != 0 {
		t.Error("the second wave has begun")
	}
	r.Do(t, "dan", proceduretest.Resume())
	if s := r.Reaches(t, procedure.PhaseVerify); s.Wave != 1 || len(w.Effects(t, "eu2", r.ID)) != 1 {
		t.Errorf("in wave %d, %d effects", s.Wave, len(w.Effects(t, "eu2", r.ID)))
	}
	if story := r.Story(t); story != "execution_claimed paused execution_finished verification_passed start_held resumed execution_claimed execution_finished" {
		t.Errorf("story %q", story)
	}
}

// TestAPauseKeepsNoWayBack: neither one after a failure nor one that a person orders.
func TestAPauseKeepsNoWayBack(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(t *testing.T, r *sitetest.Release){
		"a failed verification": func(t *testing.T, r *sitetest.Release) {
			r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
		},
		"an abort of what is held": func(t *testing.T, r *sitetest.Release) {
			r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
			r.Reaches(t, procedure.PhaseHeld)
			r.Do(t, "dan", proceduretest.Abort())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pausedInWave(t)
			back(t, r)
			r.Reaches(t, procedure.PhaseVerifyRollback)
			if w.Running(t, "eu1") != 1 || len(w.Effects(t, "eu2", r.ID)) != 0 {
				t.Errorf("eu1 carries version %d, eu2 had %d effects", w.Running(t, "eu1"), len(w.Effects(t, "eu2", r.ID)))
			}
		})
	}
}

// TestAClaimThatRacesWithAPauseDoesNotCount: who looked before somebody paused it is not stored,
// and what is stored all the same does not count, whatever the executor took it for.
func TestAClaimThatRacesWithAPauseDoesNotCount(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	step := execute.New(e.Site, time.Now)
	before := r.Task(t, 1)
	r.Do(t, "eve", proceduretest.Pause())
	if _, err := e.Turn(t.Context(), step, before); !sitetest.Conflict(err) {
		t.Errorf("who looked before: %v", err)
	}
	s := r.State(t)
	r.Append(t, "", procedure.DecideClaim(s, "executor-of-before", s.ChangeDigest, time.Now().Add(time.Minute), time.Now().Add(time.Hour)))
	if s := r.State(t); s.Started() || s.Phase != procedure.PhaseExecute {
		t.Errorf("in phase %s", s.Phase)
	}
	// The same message again finds the pause, and once more finds nothing to do.
	if _, err := e.Turn(t.Context(), step, r.TaskBy(t, before.Cause, 2)); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t); s.Phase != procedure.PhaseHeld || procedure.Due(procedure.StepExecute, s, time.Now()) || len(w.Effects(t, "eu1", r.ID)) != 0 {
		t.Errorf("in phase %s", s.Phase)
	}
}

// TestAKilledExecutorOfAPausedRelease: one dies between the effect and the outcome of the first wave,
// and somebody pauses the release; the next one brings that wave to its end, holds the release and
// dies while it waits. Whoever is there when it is resumed begins the second wave, and each target
// sees one effect.
func TestAKilledExecutorOfAPausedRelease(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	w.Die(t, sitetest.After)
	r.Do(t, "eve", proceduretest.Pause())
	kill := w.Process(t)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if h := r.Reaches(t, procedure.PhaseHeld).Holds; len(h) != 1 || h[0].GetRule() != procedure.HoldPaused {
		t.Errorf("held by %v", h)
	}
	kill()
	r.Do(t, "dan", proceduretest.Resume())
	if s := r.State(t); s.Phase != procedure.PhaseExecute || len(w.Effects(t, "eu2", r.ID)) != 0 {
		t.Fatalf("nobody is there, and it is in phase %s", s.Phase)
	}
	w.Run(t, "heir", execute.New)
	if s := r.Reaches(t, procedure.PhaseVerify); s.Wave != 1 {
		t.Errorf("in wave %d", s.Wave)
	}
	for _, target := range []string{"eu1", "eu2"} {
		if n := len(w.Effects(t, target, r.ID)); n != 1 || w.Running(t, target) != 2 {
			t.Errorf("%s saw %d effects, and carries version %d", target, n, w.Running(t, target))
		}
	}
	if story := r.Story(t); story != "execution_claimed paused execution_claimed execution_finished verification_passed start_held resumed execution_claimed execution_finished" {
		t.Errorf("story %q", story)
	}
}
