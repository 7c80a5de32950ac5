package execute_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// asleep has an executor claim an opaque target and fall asleep at that point. It
// returns how to wake it, which waits until it has said what it has to say.
func asleep(t *testing.T, w *sitetest.World, r *sitetest.Release, cause procedure.Entry, at string) (wake func() []*releasev1.Event) {
	t.Helper()
	reached, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	zombie := w.Executor(t, "zombie", func(point string) {
		if point == at {
			close(reached)
			<-goOn
		}
	})
	step := execute.New(zombie.Site, time.Now)
	if _, err := zombie.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	var said []*releasev1.Event
	task := r.TaskBy(t, cause, 1)
	go func() {
		defer close(ended)
		said, _ = zombie.Turn(context.WithoutCancel(t.Context()), step, task)
	}()
	select {
	case <-reached:
	case <-ended:
		t.Fatalf("it never came to %s, and said %v", at, said)
	}
	return func() []*releasev1.Event {
		close(goOn)
		<-ended
		return said
	}
}

// TestAnOpaqueZombieBeginsNothing stops an executor between its claim and its command
// until another one took it for lost. Whatever it had done by then, it does no more.
func TestAnOpaqueZombieBeginsNothing(t *testing.T) {
	for _, test := range []struct{ name, point, found string }{
		{"before the driver", sitetest.Before, "had not begun"},
		{"in the driver, with the lock of the target", command.PointAdmitted, "had not begun"},
		{"in the driver, before its marker", command.PointTicket, "had not begun"},
		{"in the driver, behind its marker", command.PointStarted, "is started"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, sitetest.Command("eu1"))
			w.Carries(t, "eu1", 1)
			before := len(w.Starts(t, "eu1"))
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			wake := asleep(t, w, r, cause, test.point)
			heir := w.Executor(t, "heir", nil)
			if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
				t.Fatal(err)
			}
			s := r.State(t)
			if s.Phase != procedure.PhaseEscalated || !strings.Contains(s.Result("eu1").GetMessage(), test.found) || s.DecideFrom.IsZero() {
				t.Errorf("in phase %s, %q, decide from %s", s.Phase, s.Result("eu1").GetMessage(), s.DecideFrom)
			}
			// Whoever decides now is told from when on it counts.
			r.Append(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
			if s = r.State(t); s.Phase != procedure.PhaseEscalated {
				t.Errorf("decided too early, in phase %s", s.Phase)
			}
			if said := wake(); len(said) != 0 {
				t.Errorf("the zombie said %v", said)
			}
			if n := len(w.Starts(t, "eu1")) - before; n != 0 {
				t.Errorf("the command ran %d times", n)
			}
		})
	}
}

// TestARetriedCommandRunsOnce has a person order what an executor is asleep with.
func TestARetriedCommandRunsOnce(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Carries(t, "eu1", 1)
	before := len(w.Starts(t, "eu1"))
	r := w.Release(t)
	r.Execute = sitetest.CommandTime + 8*time.Second
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	wake := asleep(t, w, r, cause, sitetest.Before)
	heir := w.Executor(t, "heir", nil)
	step := execute.New(heir.Site, time.Now)
	if _, err := heir.Turn(t.Context(), step, r.TaskBy(t, cause, 2)); err != nil {
		t.Fatal(err)
	}
	r.Decide(t, "eve", releasev1.Intervened_ACTION_RETRY)
	cause = r.Cause(t)
	for range 2 {
		if _, err := heir.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wake()
	if s := r.State(t); s.Phase != procedure.PhaseVerify || len(w.Starts(t, "eu1"))-before != 1 || w.Running(t, "eu1") != 2 {
		t.Errorf("in phase %s; the command ran %d times", s.Phase, len(w.Starts(t, "eu1"))-before)
	}
}

// TestATargetIsSealedBeforeItIsLetGo: who took the executor for lost did not reach the
// target, and a person accepts. Whoever lets the target go reaches it.
func TestATargetIsSealedBeforeItIsLetGo(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Carries(t, "eu1", 1)
	before := len(w.Starts(t, "eu1"))
	r := w.Release(t)
	r.Execute = sitetest.CommandTime + 8*time.Second
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	wake := asleep(t, w, r, cause, command.PointTicket)
	all := w.Targets
	w.Targets = nil
	blind := w.Executor(t, "blind", nil)
	if _, err := blind.Turn(t.Context(), execute.New(blind.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
		t.Fatal(err)
	}
	if said := r.State(t).Result("eu1").GetMessage(); !strings.Contains(said, "could not be sealed, and may begin until") {
		t.Errorf("said %q", said)
	}
	r.Decide(t, "eve", releasev1.Intervened_ACTION_ACCEPT)
	w.Targets = all
	last := w.Executor(t, "last", nil)
	if _, err := last.Turn(t.Context(), release.New(last.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	wake()
	if s := r.State(t); s.Phase != procedure.PhaseRecord || len(w.Starts(t, "eu1")) != before || w.Running(t, "eu1") != 1 {
		t.Errorf("in phase %s; the command ran %d times", s.Phase, len(w.Starts(t, "eu1"))-before)
	}
}

// TestAFencedZombieOfWhatFailedElsewhere: who took over failed without touching the
// target, so it has seen no newer fence when it is let go.
func TestAFencedZombieOfWhatFailedElsewhere(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t, proceduretest.Irreversible)
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	wake := asleep(t, w, r, cause, sitetest.Before)
	heir := w.Executor(t, "heir", nil)
	if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
		t.Fatal(err)
	}
	r.Do(t, "", procedure.DecideExecuted(r.State(t), proceduretest.Results(r.State(t), []string{"eu1"}, "", map[string]releasev1.TargetResult_Status{
		"eu1": releasev1.TargetResult_STATUS_FAILED,
	}), "the artifact is gone"))
	r.Do(t, "", procedure.DecideRemedy(r.State(t), "heir", time.Now(), time.Now()))
	r.Decide(t, "eve", releasev1.Intervened_ACTION_ACCEPT)
	if _, err := heir.Turn(t.Context(), release.New(heir.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	wake()
	if s := r.State(t); s.Phase != procedure.PhaseRecord || len(w.Effects(t, "eu1", r.ID)) != 0 || w.Running(t, "eu1") != 1 {
		t.Errorf("in phase %s after %d effects", s.Phase, len(w.Effects(t, "eu1", r.ID)))
	}
}
