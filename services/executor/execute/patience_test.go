package execute_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
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
