package rollback_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// An executor that dies runs the way back alone, so that it dies there.
func TestMain(m *testing.M) { sitetest.Main(m, rollback.New) }

// executed brings a release of version 2 over version 1 to the end of its last wave,
// and lets its verification fail.
func executed(t *testing.T, w *sitetest.World, waves ...[]string) *sitetest.Release {
	t.Helper()
	for _, targets := range waves {
		for _, target := range targets {
			w.Carries(t, target, 1)
		}
	}
	r := w.Release(t, proceduretest.Waves(waves...))
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "forth", nil)
	e.Start(t, execute.New)
	for range len(waves) - 1 {
		r.Reaches(t, procedure.PhaseVerify)
		r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	}
	r.Reaches(t, procedure.PhaseVerify)
	e.Stop()
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	return r
}

func targetsOf(results []*releasev1.TargetResult) []string {
	var out []string
	for _, r := range results {
		out = append(out, r.GetTarget())
	}
	return out
}

func TestTheWayBackGoesOverEveryWaveInReverse(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("eu3"))
		r := executed(t, w, []string{"eu1", "eu2"}, []string{"eu3"})
		w.Run(t, "back", rollback.New)
		r.Reaches(t, procedure.PhaseVerifyRollback)
		back := r.Find(t, "rolled_back").GetRolledBack().GetResults()
		if got := targetsOf(back); !slices.Equal(got, []string{"eu3", "eu2", "eu1"}) {
			t.Errorf("went back over %v", got)
		}
		var last time.Time
		for _, target := range []string{"eu3", "eu2", "eu1"} {
			effects := w.Effects(t, target, r.ID)
			if len(effects) != 2 || effects[1].Action != ledger.Rollback || effects[1].Time.Before(last) || w.Running(t, target) != 1 {
				t.Errorf("target %s carries version %d after %v", target, w.Running(t, target), effects)
				continue
			}
			last = effects[1].Time
		}
	})
}

// heldTo is a driver that keeps what its target is held to on the way back.
type heldTo struct {
	driver.Driver
	mark *string
}

func (h heldTo) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	*h.mark = plan.Mark
	return h.Driver.Rollback(ctx, key, f, plan)
}

// TestTheWayBackIsHeldToWhatTheTargetRemembered when the release before let it go, as the way forth
// is.
func TestTheWayBackIsHeldToWhatTheTargetRemembered(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	before := w.Standing(t, "eu1")
	w.Unlock(t, "eu1", before.State.GetDeployed().GetRelease(), standing.Marked(before.State, "commit one"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "forth", nil)
	mark := ""
	e.Drivers["eu1"] = heldTo{e.Drivers["eu1"], &mark}
	e.Start(t, execute.New, rollback.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Reaches(t, procedure.PhaseVerifyRollback)
	e.Stop()
	if mark != "commit one" {
		t.Errorf("it was held to %q", mark)
	}
}

// TestATargetGoesBackBeforeWhatItDependsOn, also where it was touched first, in another wave.
func TestATargetGoesBackBeforeWhatItDependsOn(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("eu3"))
	w.Depth = map[string]uint32{"eu1": 1}
	r := executed(t, w, []string{"eu1"}, []string{"eu2", "eu3"})
	w.Run(t, "back", rollback.New)
	r.Reaches(t, procedure.PhaseVerifyRollback)
	var last time.Time
	for _, target := range []string{"eu1", "eu3", "eu2"} {
		effects := w.Effects(t, target, r.ID)
		if len(effects) != 2 || effects[1].Action != ledger.Rollback || effects[1].Time.Before(last) || w.Running(t, target) != 1 {
			t.Errorf("target %s carries version %d after %v", target, w.Running(t, target), effects)
			continue
		}
		last = effects[1].Time
	}
	if got := targetsOf(r.Find(t, "rolled_back").GetRolledBack().GetResults()); !slices.Equal(got, []string{"eu1", "eu3", "eu2"}) {
		t.Errorf("went back over %v", got)
	}
}

func TestATargetThatCannotGoBackStopsNoOther(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"), sitetest.Host("eu2"), sitetest.Host("eu3"))
	r := executed(t, w, []string{"eu1", "eu2", "eu3"})
	// What eu2 would go back to is gone from its disk.
	if err := os.RemoveAll(filepath.Join(w.Targets[1].GetHost().GetFolder(), "releases", strings.TrimPrefix(sitetest.DigestOf(1), "sha256:"))); err != nil {
		t.Fatal(err)
	}
	w.Run(t, "back", rollback.New)
	s := r.Reaches(t, procedure.PhaseEscalated)
	if s.EscalatedFor != releasev1.Cause_CAUSE_ROLLBACK_FAILED {
		t.Errorf("escalated for %s", s.EscalatedFor)
	}
	failed := r.Find(t, "rollback_failed").GetRollbackFailed()
	if !strings.Contains(failed.GetReason(), "target eu2") || strings.Contains(failed.GetReason(), "target eu1") {
		t.Errorf("reason %q", failed.GetReason())
	}
	for target, version := range map[string]int{"eu1": 1, "eu2": 2, "eu3": 1} {
		if w.Running(t, target) != version {
			t.Errorf("target %s carries version %d, want %d", target, w.Running(t, target), version)
		}
	}
}

// TestTheWayBackNeedsNoArtifact: the new artifact is gone, or the whole registry is
// down. Both are no reason to leave production as it is.
func TestTheWayBackNeedsNoArtifact(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, w *sitetest.World) error{
		"the artifact is gone": func(_ *testing.T, w *sitetest.World) error {
			return os.Remove(filepath.Join(w.Artifacts(), sitetest.Location(2)))
		},
		"the registry is down": func(_ *testing.T, w *sitetest.World) error {
			return os.Rename(w.Artifacts(), w.Artifacts()+".away")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Host("eu1"))
			r := executed(t, w, []string{"eu1"})
			if err := lose(t, w); err != nil {
				t.Fatal(err)
			}
			e := w.Executor(t, "back", nil)
			step, cause := rollback.New(e.Site, time.Now), r.Cause(t)
			for range 2 {
				if _, err := e.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if s := r.State(t); s.Phase != procedure.PhaseVerifyRollback || w.Running(t, "eu1") != 1 {
				t.Errorf("in phase %s, carries version %d", s.Phase, w.Running(t, "eu1"))
			}
		})
	}
}

func TestATargetWithoutADriverIsAFailureAndStopsNoOther(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	r := executed(t, w, []string{"eu1", "eu2"})
	w.Targets = w.Targets[:1]
	w.Run(t, "back", rollback.New)
	r.Reaches(t, procedure.PhaseEscalated)
	if w.Running(t, "eu1") != 1 || !strings.Contains(r.Find(t, "rollback_failed").GetRollbackFailed().GetReason(), "target eu2") {
		t.Errorf("eu1 carries version %d", w.Running(t, "eu1"))
	}
}

func TestATargetThatStaysBusyOnTheWayBackReachesAPerson(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"), sitetest.Host("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}))
	r.Execute = 8 * time.Second
	r.To(t, procedure.PhaseExecute)
	forth := w.Executor(t, "forth", nil)
	forth.Start(t, execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	forth.Stop()
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	w.Occupy(t, "eu2") // the first on the way back
	w.Run(t, "back", rollback.New)
	r.Reaches(t, procedure.PhaseEscalated)
	failed := r.Find(t, "rollback_failed").GetRollbackFailed()
	if !strings.Contains(failed.GetReason(), driver.ErrBusy.Error()) || w.Running(t, "eu1") != 1 {
		t.Errorf("reason %q; eu1 carries version %d", failed.GetReason(), w.Running(t, "eu1"))
	}
}

func TestAKilledExecutorOnTheWayBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		target sitetest.Target
		point  string
	}{
		{"between claim and effect", sitetest.Noop("eu1"), sitetest.Before},
		{"in the effect", sitetest.Noop("eu1"), noop.PointCounted},
		{"between effect and outcome", sitetest.Noop("eu1"), sitetest.After},
		{"of a host, after the switch", sitetest.Host("eu1"), "host.switched"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, test.target)
			r := executed(t, w, []string{"eu1"})
			w.Die(t, test.point)
			w.Run(t, "heir", rollback.New)
			s := r.Reaches(t, procedure.PhaseVerifyRollback)
			if n := len(w.Effects(t, "eu1", r.ID)); s.RollbackAttempt != 2 || n != 2 || w.Running(t, "eu1") != 1 {
				t.Errorf("attempt %d, %d effects, version %d", s.RollbackAttempt, n, w.Running(t, "eu1"))
			}
		})
	}
}

func TestAnOpaqueWayBackIsNeverTriedTwice(t *testing.T) {
	w := sitetest.New(t, sitetest.Command("eu1"))
	r := executed(t, w, []string{"eu1"})
	before := len(w.Starts(t, "eu1"))
	w.Die(t, command.PointRan)
	w.Run(t, "heir", rollback.New)
	s := r.Reaches(t, procedure.PhaseEscalated)
	if s.EscalatedFor != releasev1.Cause_CAUSE_OUTCOME_UNKNOWN || !s.EscalatedRollback || len(w.Starts(t, "eu1")) != before+1 {
		t.Errorf("escalated for %s; the command ran %d times", s.EscalatedFor, len(w.Starts(t, "eu1"))-before)
	}
}

func TestWithoutAWayBackAPersonIsAsked(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t, proceduretest.Irreversible)
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New, rollback.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	s := r.Reaches(t, procedure.PhaseEscalated)
	if s.EscalatedFor != releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE || w.Running(t, "eu1") != 2 {
		t.Errorf("escalated for %s, version %d", s.EscalatedFor, w.Running(t, "eu1"))
	}
}

// TestWhatWasNeverExecutedIsNotRolledBack has nobody to go back for (bad input 78).
func TestWhatWasNeverExecutedIsNotRolledBack(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	s := r.State(t)
	r.Append(t, "", proceduretest.Remedy(s, "one", time.Now()))
	if after := r.State(t); after.Phase != procedure.PhaseExecute || after.RollbackAttempt != 0 || procedure.Due(procedure.StepRollback, after, time.Now()) {
		t.Errorf("in phase %s, attempt %d", after.Phase, after.RollbackAttempt)
	}
}

// TestAnOpaqueZombieDoesNotGoBack stops an executor on the way back until another one
// took it for lost.
func TestAnOpaqueZombieDoesNotGoBack(t *testing.T) {
	for _, point := range []string{sitetest.Before, command.PointAdmitted, command.PointTicket, command.PointStarted} {
		t.Run(point, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Command("eu1"))
			r := executed(t, w, []string{"eu1"})
			before := len(w.Starts(t, "eu1"))
			cause := r.Cause(t)
			reached, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
			zombie := w.Executor(t, "zombie", func(p string) {
				if p == point {
					close(reached)
					<-goOn
				}
			})
			step := rollback.New(zombie.Site, time.Now)
			if _, err := zombie.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
				t.Fatal(err)
			}
			task := r.TaskBy(t, cause, 1)
			go func() {
				defer close(ended)
				_, _ = zombie.Turn(context.WithoutCancel(t.Context()), step, task)
			}()
			<-reached
			heir := w.Executor(t, "heir", nil)
			if _, err := heir.Turn(t.Context(), rollback.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
				t.Fatal(err)
			}
			if s := r.State(t); s.Phase != procedure.PhaseEscalated || !s.EscalatedRollback || s.DecideFrom.IsZero() {
				t.Errorf("in phase %s, decide from %s", s.Phase, s.DecideFrom)
			}
			close(goOn)
			<-ended
			if n := len(w.Starts(t, "eu1")) - before; n != 0 {
				t.Errorf("the command ran %d times", n)
			}
		})
	}
}

// TestALostWakeUpIsMadeGood takes the message away that wakes the way back. The clock's
// word that the wait is over wakes it as well.
func TestALostWakeUpIsMadeGood(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		w.Carries(t, "eu1", 1)
		r := w.Release(t)
		r.Step = 2 * time.Second
		r.To(t, procedure.PhaseExecute)
		forth := w.Executor(t, "forth", nil)
		forth.Start(t, execute.New)
		r.Reaches(t, procedure.PhaseVerify)
		forth.Stop()
		r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
		durable, err := forth.JS.Consumer(t.Context(), eventstore.StreamEvents, string(procedure.StepRollback))
		if err != nil {
			t.Fatal(err)
		}
		for lost := ""; !strings.HasSuffix(lost, ".verification_failed"); {
			m, err := durable.Next()
			if err != nil {
				t.Fatal(err)
			}
			if lost = m.Subject(); m.DoubleAck(t.Context()) != nil {
				t.Fatalf("%s is not lost", lost)
			}
		}
		w.Run(t, "back", rollback.New)
		var overdue *releasev1.Event
		natstest.Eventually(t, "the end of the wait", func() bool {
			overdue = procedure.DecideDeadline(r.State(t), time.Now().Add(-50*time.Millisecond))
			return overdue != nil
		})
		if s := r.State(t); s.Phase != procedure.PhaseRemedy {
			t.Fatalf("in phase %s without a message", s.Phase)
		}
		r.Do(t, "", overdue)
		r.Reaches(t, procedure.PhaseVerifyRollback)
	})
}
