package execute_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// newLane is a world in which the shop and the search are on the same targets, and have a turn
// of a minute.
func newLane(t *testing.T) *street {
	t.Helper()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Digest = w.Keep(t, strings.Replace(sitetest.Document(`environments: [{name: production}]
services:
  - {name: shop}
  - {name: search}
targets:
  - {id: eu1, environment: production, services: [shop, search]}
  - {id: eu2, environment: production, services: [shop, search]}
`), "recheck: 1s", "recheck: 1m", 1))
	return &street{w, w.Executor(t, "one", nil)}
}

func search(q *releasev1.Request) { q.Service = "search" }

// claims makes a release hold the targets of its first wave.
func (w *street) claims(t *testing.T, r *sitetest.Release) {
	t.Helper()
	r.Do(t, "", proceduretest.Claim(r.State(t), "executor-2", time.Now()))
	for _, id := range r.State(t).WaveTargets() {
		w.Lock(t, id, r.ID, "executor-2")
	}
}

// leaves lets a target go as it was before.
func (w *street) leaves(t *testing.T, r *sitetest.Release, target string) {
	t.Helper()
	r.Do(t, "", proceduretest.Executed(r.State(t), map[string]releasev1.TargetResult_Status{target: releasev1.TargetResult_STATUS_SKIPPED}))
	w.Unlock(t, target, r.ID, w.Standing(t, target).State)
}

// looks is what becomes of a release that looks again so much later, without storing it: the
// type of the event, and by which release it is held.
func (w *street) looks(t *testing.T, r *sitetest.Release, later time.Duration) (string, *releasev1.HoldReason) {
	t.Helper()
	task := r.Task(t, 1)
	task.Now = task.Now.Add(later)
	task.State.Phase, task.State.Holds, task.State.Entered = procedure.PhaseExecute, nil, task.Now
	drafts, err := execute.New(w.executor.Site, time.Now).Act(t.Context(), task)
	if err != nil || len(drafts) == 0 {
		t.Fatalf("%v, %v", drafts, err)
	}
	for _, h := range drafts[0].Event.GetStartHeld().GetReasons() {
		return "start_held", h
	}
	return procedure.TypeOf(drafts[0].Event), &releasev1.HoldReason{}
}

func goesFirst(h *releasev1.HoldReason, r *sitetest.Release, why string) bool {
	return h.GetRule() == procedure.HoldTargetBusy && h.GetSubject() == r.ID && strings.HasSuffix(h.GetMessage(), "goes first: it "+why)
}

// TestWhatWaitsForATargetGoesOnInOrder: when it is free the emergency has it, and otherwise
// who asked first, whoever looks first; and who does not use the turn loses it (PD-3.3).
func TestWhatWaitsForATargetGoesOnInOrder(t *testing.T) {
	t.Parallel()
	w := newLane(t)
	holder := w.open(t, "holder")
	first, second := w.open(t, "first"), w.open(t, "second", search)
	urgent := w.open(t, "urgent", search, proceduretest.Emergency)
	w.claims(t, holder)
	for _, r := range []*sitetest.Release{second, first, urgent} {
		if s := w.turn(t, r, 0); !heldBy(s, procedure.HoldTargetBusy, holder) {
			t.Fatalf("%s in phase %s: %v", r.ID, s.Phase, s.Holds)
		}
	}
	w.leaves(t, holder, "eu1")
	if is, by := w.looks(t, second, 0); is != "start_held" || by.GetRule() != procedure.HoldTargetBusy || by.GetSubject() == holder.ID {
		t.Errorf("the second one: %s, %v", is, by)
	}
	if is, by := w.looks(t, first, 0); is != "start_held" || !goesFirst(by, urgent, "is an emergency or a way back") {
		t.Errorf("the first one: %s, %v", is, by)
	}
	if is, by := w.looks(t, urgent, 0); is != "execution_claimed" {
		t.Errorf("the emergency: %s, %v", is, by)
	}
	urgent.Do(t, "rita", proceduretest.Withdraw())
	if is, by := w.looks(t, second, 0); is != "start_held" || !goesFirst(by, first, "was asked for first") {
		t.Errorf("the second one, without the emergency: %s, %v", is, by)
	}
	if is, by := w.looks(t, first, 0); is != "execution_claimed" {
		t.Errorf("the first one, without the emergency: %s, %v", is, by)
	}
	// Its next look was due after a minute, and it had another one.
	if is, by := w.looks(t, second, 3*time.Minute); is != "execution_claimed" {
		t.Errorf("when the first one did not use its turn: %s, %v", is, by)
	}
}

// TestOfThreeThatStartAtOnceTheOrderDecides, in three executors at the same time; and what is
// delivered again to one that was lost changes nothing.
func TestOfThreeThatStartAtOnceTheOrderDecides(t *testing.T) {
	t.Parallel()
	w := newLane(t)
	all := []*sitetest.Release{w.open(t, "first"), w.open(t, "second", search), w.open(t, "urgent", search, proceduretest.Emergency)}
	var group sync.WaitGroup
	drafts := make([][]eventstore.Draft, len(all))
	errs := make([]error, len(all))
	for i, r := range all {
		e, task := w.Executor(t, r.ID, nil), r.Task(t, 1)
		group.Go(func() { drafts[i], errs[i] = execute.New(e.Site, time.Now).Act(t.Context(), task) })
	}
	group.Wait()
	for i, want := range []string{"start_held", "start_held", "execution_claimed"} {
		if errs[i] != nil || procedure.TypeOf(drafts[i][0].Event) != want {
			t.Fatalf("release %d: %v, %v", i, drafts[i], errs[i])
		}
	}
	again := all[0].Task(t, 2)
	for i := range all {
		w.Append(t, procedure.ServiceExecutor, drafts[i]...)
	}
	if _, err := w.executor.Turn(t.Context(), execute.New(w.executor.Site, time.Now), again); !sitetest.Conflict(err) {
		t.Errorf("what was held already, delivered again: %v", err)
	}
	if s := all[0].State(t); s.Phase != procedure.PhaseHeld || w.Standing(t, "eu1").LockedBy != all[2].ID {
		t.Errorf("the first one is in phase %s, and %s has the target", s.Phase, w.Standing(t, "eu1").LockedBy)
	}
	if is, by := w.looks(t, all[1], 0); is != "start_held" || by.GetSubject() != all[2].ID {
		t.Errorf("while the emergency has the target the second one: %s, %v", is, by)
	}
}

// TestNobodyKeepsATurnThatCannotBeUsed: who asked first waits for another target, or wants to
// go on from what is there no more, or is held for another reason as well.
func TestNobodyKeepsATurnThatCannotBeUsed(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, w *street, first *sitetest.Release){
		"nothing": func(*testing.T, *street, *sitetest.Release) {},
		"another target of it is held": func(t *testing.T, w *street, _ *sitetest.Release) {
			other := w.open(t, "other", proceduretest.Waves([]string{"eu2"}))
			w.claims(t, other)
		},
		"the target of it was changed": func(t *testing.T, w *street, _ *sitetest.Release) { w.Carries(t, "eu2", 7) },
		"a freeze holds it": func(t *testing.T, _ *street, first *sitetest.Release) {
			first.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldFreeze, time.Now().Add(time.Hour))}})
		},
		"nothing but that somebody fills its history": func(t *testing.T, w *street, first *sitetest.Release) {
			w.fill(t, first)
			store := w.Store(procedure.ServiceApproval)
			service, err := standing.ReadService(t.Context(), store, "production", "search")
			if err != nil {
				t.Fatal(err)
			}
			event := service.Changed(first.ID, append([]string{"no release.has > such a name"}, service.Open...), nil)
			event.ProcedureDigest = w.Digest
			w.Append(t, procedure.ServiceApproval, service.Draft(event))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLane(t)
			first, second := w.open(t, "first", proceduretest.Waves([]string{"eu1", "eu2"})), w.open(t, "second", search)
			then(t, w, first)
			want := "execution_claimed"
			if strings.HasPrefix(name, "nothing") {
				want = "start_held"
			}
			if is, by := w.looks(t, second, 0); is != want {
				t.Errorf("%s, %v", is, by)
			}
		})
	}
}

// TestWhatHasBegunGoesFirst, although the other one was asked for before it: half of it is in
// production. It waits for nobody's turn; and where another release keeps its next target for
// as long as a person has to decide, people hear of it.
func TestWhatHasBegunGoesFirst(t *testing.T) {
	t.Parallel()
	w := newLane(t)
	early := w.open(t, "early", search, proceduretest.Waves([]string{"eu2"}))
	begun := w.open(t, "begun", proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	w.turn(t, begun, 0)
	w.turn(t, begun, 0)
	begun.Do(t, "", proceduretest.Verified(begun.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if is, by := w.looks(t, early, 0); is != "start_held" || !goesFirst(by, begun, "has begun") {
		t.Errorf("the early one: %s, %v", is, by)
	}
	if is, by := w.looks(t, begun, 0); is != "execution_claimed" {
		t.Errorf("its second wave: %s, %v", is, by)
	}
	w.claims(t, early)
	if s := w.turn(t, begun, 0); !heldBy(s, procedure.HoldTargetBusy, early) || s.Wave != 1 {
		t.Fatalf("its second wave in phase %s: %v", s.Phase, s.Holds)
	}
	decision := begun.State(t).Requested.GetTimeouts().GetDecision().AsDuration()
	for late, want := range map[time.Duration]string{0: "start_held", decision + time.Minute: "execution_refused"} {
		if is, by := w.looks(t, begun, late); is != want {
			t.Errorf("after %s: %s, %v", late, is, by)
		}
	}
}
