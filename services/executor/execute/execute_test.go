package execute_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// The executors that die are this test binary, and so are applications and commands.
func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

func wave(targets ...string) func(*releasev1.Request) { return proceduretest.Waves(targets) }

func TestAClaimTakesEveryTargetInOneBatch(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
		r := w.Release(t, wave("eu1", "eu2"))
		r.To(t, procedure.PhaseExecute)
		e := w.Executor(t, "one", nil)
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v; want a claim and two locks", len(events), err)
		}
		s := r.State(t)
		if s.Phase != procedure.PhaseExecuting || s.Claim.Claimer != "one" || events[0].GetExecutionClaimed().GetChangeDigest() != s.ChangeDigest {
			t.Errorf("in phase %s, claimed by %q", s.Phase, s.Claim.Claimer)
		}
		for i, target := range []string{"eu1", "eu2"} {
			now := w.Standing(t, target)
			if now.LockedBy != r.ID || now.Claimer != "one" || now.Fence != s.Claim.Sequence+uint64(i)+1 {
				t.Errorf("target %s: held by %q of %q under fence %d, the claim is %d", target, now.LockedBy, now.Claimer, now.Fence, s.Claim.Sequence)
			}
		}
	})
}

func TestAHeldTargetHoldsTheWholeWave(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
		w.Carries(t, "eu1", 1)
		w.Carries(t, "eu2", 1)
		holder := w.Release(t, wave("eu2"), proceduretest.Key("holder"), sitetest.Version(3))
		waiting := w.Release(t, wave("eu1", "eu2"))
		holder.To(t, procedure.PhaseExecute)
		waiting.To(t, procedure.PhaseApprove)
		w.Run(t, "one", execute.New, rollback.New, release.New)
		holder.Reaches(t, procedure.PhaseVerify)

		waiting.To(t, procedure.PhaseExecute)
		s := waiting.Reaches(t, procedure.PhaseHeld)
		if s.Started() || len(s.Holds) != 1 || s.Holds[0].GetRule() != procedure.HoldTargetBusy || s.Holds[0].GetSubject() != holder.ID {
			t.Errorf("held for %v", s.Holds)
		}
		if eu1 := w.Standing(t, "eu1"); eu1.LockedBy != "" {
			t.Errorf("target eu1 is held by %q", eu1.LockedBy)
		}
		// The holder is taken back: what the waiting release was approved for is true again.
		holder.Do(t, "", proceduretest.Verified(holder.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
		holder.Reaches(t, procedure.PhaseVerifyRollback)
		holder.Do(t, "", proceduretest.Verified(holder.State(t), releasev1.CheckResult_VERDICT_PASS, false))
		holder.Reaches(t, procedure.PhaseRecord)
		waiting.Resume(t)
		waiting.Reaches(t, procedure.PhaseVerify)
		for _, target := range []string{"eu1", "eu2"} {
			if w.Running(t, target) != 2 || w.Standing(t, target).LockedBy != waiting.ID {
				t.Errorf("target %s carries version %d, held by %q", target, w.Running(t, target), w.Standing(t, target).LockedBy)
			}
		}
	})
}

func TestATargetThatAnotherReleaseChangedIsRefused(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	for _, test := range []struct {
		name   string
		change func(t *testing.T, state *releasev1.TargetState)
	}{
		{"by another version", func(t *testing.T, _ *releasev1.TargetState) { w.Carries(t, "eu1", 3) }},
		{"and this version was rolled back from it", func(t *testing.T, state *releasev1.TargetState) {
			state.Generation++
			state.RolledBack = append([]*releasev1.Deployment{{Release: "shop-x", Version: "2.0.0", Digest: sitetest.DigestOf(2)}}, state.GetRolledBack()...)
			w.Unlock(t, "eu1", "shop-x", state)
		}},
		{"and it does not carry what the record says", func(t *testing.T, state *releasev1.TargetState) {
			before := w.Standing(t, "eu1").State
			w.Carries(t, "eu1", 3)
			before.Generation += 2
			w.Unlock(t, "eu1", "shop-x", before)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.Carries(t, "eu1", 1)
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("k%d", w.Standing(t, "eu1").Expect)))
			r.To(t, procedure.PhaseExecute)
			test.change(t, w.Standing(t, "eu1").State)
			e := w.Executor(t, "one", nil)
			events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) != 1 || len(events[0].GetExecutionRefused().GetFindings()) != 1 {
				t.Fatalf("%v, %v; want a refusal", events, err)
			}
			if rule := events[0].GetExecutionRefused().GetFindings()[0].GetRule(); rule != procedure.HoldTargetChanged {
				t.Errorf("refused by %s", rule)
			}
			if s := r.State(t); s.Phase != procedure.PhaseRecord || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || len(w.Effects(t, "eu1", r.ID)) != 0 {
				t.Errorf("in phase %s with outcome %s after %d effects", s.Phase, s.Outcome, len(w.Effects(t, "eu1", r.ID)))
			}
		})
	}
}

func TestTwoExecutorsHaveEachEffectOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("eu3"), sitetest.Noop("eu4"))
		eventstoretest.Provision(t, n) // None of them dies, and none is to be taken for dead.
		releases := map[string]*sitetest.Release{}
		for _, target := range []string{"eu1", "eu2", "eu3", "eu4"} {
			r := w.Release(t, wave(target), proceduretest.Key(target))
			r.To(t, procedure.PhaseNotify)
			again := proceduretest.Notify(r.State(t))
			r.To(t, procedure.PhaseExecute)
			// More messages, which do not count and wake executors all the same.
			for range 3 {
				r.Append(t, "", again)
			}
			releases[target] = r
		}
		w.Run(t, "one", execute.New)
		w.Run(t, "two", execute.New)
		for target, r := range releases {
			r.Reaches(t, procedure.PhaseVerify)
			if n := len(w.Effects(t, target, r.ID)); n != 1 {
				t.Errorf("target %s had %d effects", target, n)
			}
			if story := r.Story(t); story != "execution_claimed execution_finished" {
				t.Errorf("story %q", story)
			}
		}
	})
}

// TestOfTwoClaimsOneIsStored has both executors decide on the same head.
func TestOfTwoClaimsOneIsStored(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		task := r.Task(t, 1)
		one, two := w.Executor(t, "one", nil), w.Executor(t, "two", nil)
		if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), task); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Turn(t.Context(), execute.New(two.Site, time.Now), task); !sitetest.Conflict(err) {
			t.Errorf("the second claim: %v", err)
		}
		// The loser looks again, and leaves it to the other one without giving it up.
		if events, err := two.Turn(t.Context(), execute.New(two.Site, time.Now), r.TaskBy(t, task.Cause, 1)); err == nil || events != nil {
			t.Errorf("the loser: %v, %v", events, err)
		}
		if s := w.Standing(t, "eu1"); s.Claimer != "one" || len(w.Effects(t, "eu1", r.ID)) != 0 {
			t.Errorf("held by %q", s.Claimer)
		}
	})
}

// TestAZombieIsRefusedByTheTarget stops an executor between claim and effect until
// another one has taken over and is done.
func TestAZombieIsRefusedByTheTarget(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		cause := r.Cause(t)
		asleep, wake := make(chan struct{}), make(chan struct{})
		zombie := w.Executor(t, "zombie", func(point string) {
			if point == sitetest.Before {
				close(asleep)
				<-wake
			}
		})
		step := execute.New(zombie.Site, time.Now)
		if _, err := zombie.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
			t.Fatal(err)
		}
		task := r.TaskBy(t, cause, 1)
		ended := make(chan struct{})
		var said []*releasev1.Event
		var failure error
		go func() {
			defer close(ended)
			said, failure = zombie.Turn(context.WithoutCancel(t.Context()), step, task)
		}()
		<-asleep
		heir := w.Executor(t, "heir", nil)
		for range 2 {
			if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.State(t); s.Phase != procedure.PhaseVerify || s.Attempt != 2 {
			t.Fatalf("in phase %s after attempt %d", s.Phase, s.Attempt)
		}
		before := r.History(t).Last
		close(wake)
		<-ended
		if len(said) != 0 || failure != nil {
			t.Errorf("the zombie said %v, %v", said, failure)
		}
		if r.History(t).Last != before || len(w.Effects(t, "eu1", r.ID)) != 1 || w.Running(t, "eu1") != 2 {
			t.Errorf("%d effects, history to %d after %d", len(w.Effects(t, "eu1", r.ID)), r.History(t).Last, before)
		}
		// Were it to say what it believes, that would not be stored, or not count.
		draft := task.Draft(procedure.DecideExecuted(task.State, proceduretest.Results(task.State, []string{"eu1"}, sitetest.DigestOf(2), nil), ""))
		if _, err := w.Store(procedure.ServiceExecutor).Append(t.Context(), draft); !sitetest.Conflict(err) {
			t.Errorf("the zombie's outcome: %v", err)
		}
	})
}

func TestOneThatLostLeavesTheMessageToTheWinner(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		cause := r.Cause(t)
		zombie, heir := w.Executor(t, "zombie", nil), w.Executor(t, "heir", nil)
		old := execute.New(zombie.Site, time.Now)
		if _, err := zombie.Turn(t.Context(), old, r.TaskBy(t, cause, 1)); err != nil {
			t.Fatal(err)
		}
		task := r.TaskBy(t, cause, 1)
		if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
			t.Fatal(err)
		}
		// The heir has the claim and no effect yet. Were the loser to acknowledge now, and
		// the heir to die, nobody would be woken.
		if events, err := zombie.Turn(t.Context(), old, task); err == nil || events != nil {
			t.Errorf("the loser acknowledges: %v, %v", events, err)
		}
		if len(w.Effects(t, "eu1", r.ID)) != 0 {
			t.Error("the loser had an effect")
		}
	})
}

func TestProgressOfAnotherReleaseIsNotDisturbed(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	e := w.Executor(t, "one", nil)
	for phase := procedure.PhaseGates; phase <= procedure.PhaseNotify; phase++ {
		if phase == procedure.PhaseHeld {
			continue
		}
		r := w.Release(t, proceduretest.Key(phase.String()))
		r.To(t, phase)
		if procedure.Due(procedure.StepExecute, r.State(t), time.Now()) {
			t.Errorf("due in phase %s", phase)
		}
	}
	if _, err := e.Fence(t.Context(), "shop-other", "eu1"); !site.Lost(err) {
		t.Errorf("a fence without a lock: %v", err)
	}
}
