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

// TestOrderingAgainWhatNeverBeganIsItsStart: an executor was lost before the effect, and
// its heir left the targets alone, for people had to decide. One person orders it again,
// and one person does not take the place of those who approved it.
func TestOrderingAgainWhatNeverBeganIsItsStart(t *testing.T) {
	for _, test := range []struct {
		name  string
		until time.Duration // how long the waiver counts
		later time.Duration // how much later it is ordered again
		then  func(t *testing.T, w *sitetest.World)
		rule  string
	}{
		{"nothing changed", time.Hour, 0, func(*testing.T, *sitetest.World) {}, ""},
		{"an approver has left", time.Hour, 0, func(t *testing.T, w *sitetest.World) { w.Activate(t, sitetest.Without("ben")) }, "approval.person"},
		{"a waiver is over", 30 * time.Minute, 40 * time.Minute, func(*testing.T, *sitetest.World) {}, "waiver.expired"},
		{"the approvals are over", 20 * time.Hour, 13 * time.Hour, func(*testing.T, *sitetest.World) {}, "approval.expired"},
		{"they are over, and a freeze holds", 20 * time.Hour, 13 * time.Hour, func(t *testing.T, w *sitetest.World) {
			w.Activate(t, freeze("night", time.Now(), time.Now().Add(40*time.Hour)))
		}, "approval.expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			r := w.Release(t, proceduretest.Irreversible)
			r.To(t, procedure.PhaseGates)
			r.Do(t, "", proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(test.until)))
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			lost, heir := w.Executor(t, "lost", nil), w.Executor(t, "heir", nil)
			if _, err := lost.Turn(t.Context(), execute.New(lost.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
				t.Fatal(err)
			}
			frozen := w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
			for range 2 {
				if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := heir.Turn(t.Context(), rollback.New(heir.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			if s := r.State(t); s.Phase != procedure.PhaseEscalated || len(s.Begun) > 0 {
				t.Fatalf("phase %s, begun %v", s.Phase, s.Begun)
			}
			if w.Activate(t, sitetest.Document("# the freeze is over\n")) == frozen {
				t.Fatal("the freeze is still there")
			}
			test.then(t, w)
			r.Do(t, r.State(t).Request.GetOwner(), procedure.DecideIntervention(r.State(t), releasev1.Intervened_ACTION_RETRY, "again"))
			later := func() time.Time { return time.Now().Add(test.later) }
			for range 2 {
				task := r.Task(t, 1)
				task.Now = later()
				if task.State.Phase == procedure.PhaseEscalated {
					break
				}
				if _, err := heir.Turn(t.Context(), execute.New(heir.Site, later), task); err != nil {
					t.Fatal(err)
				}
			}
			effects, s := len(w.Effects(t, "eu1", r.ID)), r.State(t)
			if test.rule == "" {
				if s.Phase != procedure.PhaseVerify || effects != 1 {
					t.Errorf("phase %s, %d effects: %s", s.Phase, effects, s.EndReason)
				}
				return
			}
			findings := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
			if len(findings) == 0 || findings[0].GetRule() != test.rule || s.Phase != procedure.PhaseEscalated || effects != 0 {
				t.Errorf("phase %s, %d effects, refused for %v", s.Phase, effects, findings)
			}
		})
	}
}
