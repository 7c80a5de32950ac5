package execute

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestNoHoldOfAWaveIsForEver: whatever holds the next wave of which nobody knows when it is
// over calls people after as long as one has to decide. What is held for lies in between: a
// freeze of every night begins nothing anew, and something else does.
func TestNoHoldOfAWaveIsForEver(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	for range 2 {
		if _, err := e.Turn(t.Context(), New(e.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	waits := func(rule string) time.Time {
		t.Helper()
		r.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(rule, time.Now())}})
		since := r.State(t).Entered
		r.Do(t, "", procedure.DecideDeadline(r.State(t), time.Now()))
		return since
	}
	for _, rule := range []string{
		incident.Rule, inflight.RuleDependency, inflight.RuleDependent, ruleNeeds, ruleNeededBy, procedure.HoldRollbackUnproved,
		procedure.HoldRollbackUnknown, procedure.HoldPreviewUnknown, procedure.HoldTargetBusy, procedure.HoldPaused,
	} {
		since := waits(rule)
		waits("freeze")
		waits(rule)
		holds := []*releasev1.HoldReason{{Rule: alerts.RuleFiring}, {Rule: rule, Subject: "it", Message: "wait"}}
		task := r.Task(t, 1)
		decision := task.State.Requested.GetTimeouts().GetDecision().AsDuration()
		task.Now = since.Add(decision - time.Nanosecond)
		if found := outlast(task, holds); len(found) != 0 {
			t.Errorf("%s: called before it was due: %v", rule, found)
		}
		task.Now = since.Add(decision)
		found := outlast(task, holds)
		if len(found) != 1 || found[0].GetRule() != rule || found[0].GetSubject() != "it" || found[0].GetMessage() != "wait" {
			t.Errorf("%s: %v", rule, found)
		}
		waits(alerts.RuleFiring)
		task = r.Task(t, 1)
		task.Now = since.Add(2 * decision)
		if found := outlast(task, holds); len(found) != 0 {
			t.Errorf("%s: something else held it since: %v", rule, found)
		}
	}
	// Who pauses it once more has as long again.
	r.Do(t, "eve", proceduretest.Pause())
	first := waits(procedure.HoldPaused)
	r.Do(t, "eve", proceduretest.Resume())
	r.Do(t, "eve", proceduretest.Pause())
	second := waits(procedure.HoldPaused)
	task := r.Task(t, 1)
	holds := []*releasev1.HoldReason{procedure.PauseHold(task.State)}
	decision := task.State.Requested.GetTimeouts().GetDecision().AsDuration()
	for at, called := range map[time.Time]int{first.Add(decision): 0, second.Add(decision): 1} {
		task.Now = at
		if found := outlast(task, holds); len(found) != called {
			t.Errorf("%d calls at %s: %v", called, at, found)
		}
	}
}
