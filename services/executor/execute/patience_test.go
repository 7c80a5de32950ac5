package execute_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAClaimedWaveEndsWhereNobodyCanTell has another system go down between the claim of the
// second wave and its effect. The wave is looked at again until its claim is over, and then
// lets its targets go as one that was not begun. One that has begun is brought to its end.
func TestAClaimedWaveEndsWhereNobodyCanTell(t *testing.T) {
	for _, test := range []struct {
		name, why string
		watch     func(t *testing.T, w *sitetest.World, e *sitetest.Executor) (down func())
	}{
		{"alerts", "nobody can tell whether alerts fire", func(t *testing.T, w *sitetest.World, e *sitetest.Executor) func() {
			m := watch(t, w)
			e.Sources = m.sources
			return func() { m.says("") }
		}},
		{"change record", "could not be read: HTTP 502", func(t *testing.T, w *sitetest.World, e *sitetest.Executor) func() {
			s, connectors := records(t, w)
			s.Set("CHG-1042", changerecordtest.Record{State: "-1", Service: "shop", End: time.Now().Add(24 * time.Hour)})
			e.Connectors = connectors
			return func() { s.Fail(http.StatusBadGateway) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("eu3"))
			e := w.Executor(t, "one", nil)
			down := test.watch(t, w, e)
			step := execute.New(e.Site, time.Now)
			turn := func(r *sitetest.Release) *releasev1.Event {
				t.Helper()
				events, err := e.Turn(t.Context(), step, r.Task(t, 1))
				if err != nil || len(events) == 0 {
					t.Fatalf("in phase %s: %v, %v", r.State(t).Phase, events, err)
				}
				return events[0]
			}
			waits := w.Release(t, proceduretest.Key("waits"), proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
			waits.To(t, procedure.PhaseExecute)
			turn(waits)
			turn(waits)
			waits.Do(t, "", proceduretest.Verified(waits.State(t), releasev1.CheckResult_VERDICT_PASS, false))
			turn(waits)
			begun := w.Release(t, proceduretest.Key("begun"), proceduretest.Waves([]string{"eu3"}))
			begun.To(t, procedure.PhaseExecute)
			turn(begun)
			apply(t, e, begun, "eu3")
			down()
			if turn(begun).GetExecutionFinished() == nil {
				t.Errorf("what has begun is not brought to its end: %s", begun.State(t).Phase)
			}

			claim := waits.State(t).Claim
			early := execute.New(e.Site, func() time.Time { return claim.Deadline.Add(-time.Nanosecond) })
			if drafts, err := early.Act(t.Context(), waits.Task(t, 1)); err == nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("before its claim is over: %v, %v", drafts, err)
			}
			step = execute.New(e.Site, func() time.Time { return claim.Deadline })
			reason := turn(waits).GetExecutionFailed().GetReason()
			if !strings.Contains(reason, "it was not begun: until "+claim.Deadline.UTC().Format(time.RFC3339)) || !strings.Contains(reason, test.why) {
				t.Errorf("when its claim is over: %q", reason)
			}
			s := waits.State(t)
			if s.Phase != procedure.PhaseRemedy || s.Result("eu2").GetStatus() != releasev1.TargetResult_STATUS_SKIPPED || len(w.Effects(t, "eu2", waits.ID)) != 0 {
				t.Errorf("in phase %s, %v, %d effects", s.Phase, s.Result("eu2"), len(w.Effects(t, "eu2", waits.ID)))
			}
		})
	}
}

// apply has a target changed by the attempt that an executor has claimed, of which nothing
// is on record yet, as when it was lost.
func apply(t *testing.T, e *sitetest.Executor, r *sitetest.Release, target string) {
	t.Helper()
	s := r.State(t)
	d, err := e.Driver(target)
	if err != nil {
		t.Fatal(err)
	}
	fence, err := e.Fence(t.Context(), r.ID, target)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := e.Plan(t.Context(), s, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), driver.ApplyKey(r.ID, s.Wave, s.Attempt), fence, plan); err != nil {
		t.Fatal(err)
	}
}

// TestOneAnswerThatFailsEndsNoWave: half of the release is in production, and the wave has
// waited for long, for something else. An alert, or an answer that is missing, then makes it
// wait; what is refused is what alerts, or the change record, have held without a break.
func TestOneAnswerThatFailsEndsNoWave(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	m := watch(t, w)
	s, connectors := records(t, w)
	s.Set("CHG-1042", changerecordtest.Record{State: "-1", Service: "shop", End: time.Now().Add(24 * time.Hour)})
	w.Digest = w.Keep(t, sitetest.Document(watched+demanded))
	e := w.Executor(t, "one", nil)
	e.Sources, e.Connectors = m.sources, connectors
	step := execute.New(e.Site, time.Now)
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	// look is what comes of a look so long after that time: people have one minute to decide.
	look := func(since time.Time, late time.Duration) *releasev1.Event {
		t.Helper()
		task := r.Task(t, 1)
		task.State.Requested = proto.CloneOf(task.State.Requested)
		task.State.Requested.Timeouts.Decision = durationpb.New(time.Minute)
		task.State.Phase, task.State.Holds, task.Now = procedure.PhaseExecute, nil, since.Add(late)
		drafts, err := step.Act(t.Context(), task)
		if err != nil || len(drafts) != 1 {
			t.Fatalf("%v, %v", drafts, err)
		}
		return drafts[0].Event
	}
	held := func(name string, e *releasev1.Event, rule string) {
		t.Helper()
		if reasons := e.GetStartHeld().GetReasons(); len(reasons) == 0 || reasons[0].GetRule() != rule {
			t.Errorf("%s: %v, not held by %s", name, e.GetData(), rule)
		}
	}
	refused := func(name string, e *releasev1.Event, rule string) {
		t.Helper()
		if findings := e.GetExecutionRefused().GetFindings(); len(findings) == 0 || findings[0].GetRule() != rule {
			t.Errorf("%s: %v, not refused by %s", name, e.GetData(), rule)
		}
	}
	// waits stores a hold by that rule, which is over then, and says when it began.
	waits := func(rule string) time.Time {
		t.Helper()
		r.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(rule, time.Now())}})
		since := r.State(t).Entered
		r.Do(t, "", procedure.DecideDeadline(r.State(t), time.Now()))
		return since
	}
	r.To(t, procedure.PhaseExecute)
	since := waits("alert.firing")
	m.fires(time.Now())
	held("nothing has begun", look(since, time.Minute), "alert.firing")
	m.says("[]")
	for range 2 {
		if _, err := e.Turn(t.Context(), step, r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	r.Append(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("alert.firing", time.Now())}})
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	m.says("")
	held("another wave was held, and what does not count", look(since, time.Hour), "alert.unknown")
	since = waits("alert.firing")
	waits("rollback.unproved")
	held("something else held it", look(since, time.Hour), "alert.unknown")
	since = waits("alert.unknown")
	held("alerts hold it for less than a minute", look(since, time.Minute-time.Nanosecond), "alert.unknown")
	waits("alert.firing")
	waits(procedure.HoldPaused) // While nobody looked at alerts.
	refused("alerts hold it for a minute", look(since, time.Minute), "alert.unknown")
	m.says("[]")
	s.Fail(http.StatusBadGateway)
	held("alerts held it", look(since, time.Hour), "change_record.unknown")
	since = waits("change_record.unknown")
	refused("the change record holds it for a minute", look(since, time.Minute), "change_record.unknown")
}

// TestAFullStoreOfEvidenceHoldsAStartByAlertsAndNoEmergency: what a source says cannot be kept.
// A planned start waits; an emergency is judged by what was said, and goes around nothing.
func TestAFullStoreOfEvidenceHoldsAStartByAlertsAndNoEmergency(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	m := watch(t, w)
	planned, urgent := w.Release(t, proceduretest.Key("planned")), w.Release(t, proceduretest.Key("urgent"), proceduretest.Emergency)
	planned.To(t, procedure.PhaseExecute)
	urgent.To(t, procedure.PhaseExecute)
	eventstoretest.Full(t, w)
	e := w.Executor(t, "one", nil)
	e.Sources = m.sources
	for _, r := range []*sitetest.Release{planned, urgent} {
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		held, claimed := events[0].GetStartHeld().GetReasons(), events[0].GetExecutionClaimed()
		if r == planned && (len(held) != 1 || held[0].GetRule() != "alert.unknown" || !strings.Contains(held[0].GetMessage(), "cannot be kept as evidence")) {
			t.Errorf("planned: %v", events[0])
		}
		if r == urgent && (len(claimed.GetAlerts()) != 1 || claimed.GetAlerts()[0].GetError() != "" || len(events[0].GetUnkept()) != 1 || len(claimed.GetBypassed()) != 0) {
			t.Errorf("an emergency: %v", events[0])
		}
	}
}
