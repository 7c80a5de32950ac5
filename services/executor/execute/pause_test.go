package execute_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
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

// lasts has a release wait from here on by a clock of its own, which goes from deadline to deadline:
// the step looks whenever it is due, until the release does not wait for the pause any more. It returns
// what is on record of that.
func lasts(t *testing.T, w *sitetest.World, r *sitetest.Release) (story []string, h *proceduretest.History) {
	t.Helper()
	h = proceduretest.New(r.Asked)
	for _, e := range r.History(t).Entries {
		if err := h.Store(e); err != nil {
			t.Fatal(err)
		}
	}
	h.Now, h.Pace = time.Now(), time.Millisecond
	add := func(e *releasev1.Event) {
		t.Helper()
		e = proto.CloneOf(e)
		e.ProcedureDigest = w.Digest
		h.Do(t, "", e)
		story = append(story, procedure.TypeOf(e))
	}
	step := execute.New(w.Executor(t, "one", nil).Site, func() time.Time { return h.Now })
	for len(story) < 1000 && h.State().Phase <= procedure.PhaseExecute {
		s := h.State()
		if !procedure.Due(procedure.StepExecute, s, h.Now) {
			d, _ := procedure.NextDeadline(s)
			h.Advance(max(d.At.Sub(h.Now), 0))
			add(procedure.DecideDeadline(s, h.Now))
			continue
		}
		drafts, err := step.Act(t.Context(), reactor.Task{
			State: s, History: eventstore.History{Entries: h.Entries}, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: h.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(drafts) == 0 { // It is left to the clock.
			d, _ := procedure.NextDeadline(s)
			h.Advance(max(d.At.Sub(h.Now), 0))
			add(procedure.DecideDeadline(s, h.Now))
			continue
		}
		add(drafts[0].Event)
	}
	return story, h
}

// firstWave brings a release to its second wave.
func firstWave(t *testing.T, w *sitetest.World, r *sitetest.Release) {
	t.Helper()
	e := w.Executor(t, "before", nil)
	for range 2 {
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
}

// TestAPauseIsHeldOnceHoweverLongItLasts: the record grows with what happens, and not with time
// (PD-5.3). Nothing that could be found out while it is paused lets the release go on, so nobody looks
// before the pause is over in any case.
func TestAPauseIsHeldOnceHoweverLongItLasts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before func(t *testing.T, w *sitetest.World, r *sitetest.Release)
		want   string
		bound  func(s procedure.State) time.Duration
	}{
		{"before its start", func(*testing.T, *sitetest.World, *sitetest.Release) {}, "start_held expired", func(s procedure.State) time.Duration {
			return min(s.Requested.GetStartBy().AsTime().Sub(s.Pause.Since), s.Authorized.GetValidUntil().AsTime().Sub(s.Pause.Since))
		}},
		{"held by something else before", func(t *testing.T, _ *sitetest.World, r *sitetest.Release) {
			t.Helper()
			r.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldTargetBusy, time.Now().Add(time.Minute))}})
		}, "deadline_passed start_held expired", func(s procedure.State) time.Duration {
			return min(s.Requested.GetStartBy().AsTime().Sub(s.Pause.Since), s.Authorized.GetValidUntil().AsTime().Sub(s.Pause.Since))
		}},
		{"between two waves", firstWave, "start_held deadline_passed execution_refused", func(s procedure.State) time.Duration {
			return s.Requested.GetTimeouts().GetDecision().AsDuration()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
			r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
			r.To(t, procedure.PhaseExecute)
			test.before(t, w, r)
			r.Do(t, "eve", proceduretest.Pause())
			bound := test.bound(r.State(t))
			story, h := lasts(t, w, r)
			if len(story) > 10 {
				story = append(story[:10:10], fmt.Sprintf("and %d more", len(story)-10))
			}
			if got := strings.Join(story, " "); got != test.want {
				t.Errorf("on record is %q", got)
			}
			if late := h.Now.Sub(r.State(t).Pause.Since) - bound; late < 0 || late > time.Minute {
				t.Errorf("it ends %s after its time of %s", late, bound)
			}
		})
	}
}

// TestAPauseOfWhatHasBegunEndsWithAFreezeThatTakesItBack: nothing half done stays while that one holds,
// paused or not, and nobody has to resume it for that (PD-3.1).
func TestAPauseOfWhatHasBegunEndsWithAFreezeThatTakesItBack(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	firstWave(t, w, r)
	begins := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	w.Activate(t, freeze("outage", begins, begins.Add(time.Hour))+"    overrun: OVERRUN_ROLL_BACK\n")
	r.Do(t, "eve", proceduretest.Pause())
	story, h := lasts(t, w, r)
	if got := strings.Join(story, " "); got != "start_held deadline_passed execution_overrun" {
		t.Errorf("on record is %q", got)
	}
	if late := h.Now.Sub(begins); late < 0 || late > time.Minute {
		t.Errorf("it is taken back %s after the freeze began", late)
	}
}
