package release_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// An executor fell asleep between its fence and its effect. Another one says that nothing
// was begun, because somebody aborted; that has to stay true when the first one wakes.
func TestWhatIsSaidNotToHaveBegunCannotBeginAnyMore(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		cause := r.Cause(t)
		asleep, heir := w.Executor(t, "asleep", nil), w.Executor(t, "heir", nil)
		if _, err := asleep.Turn(t.Context(), execute.New(asleep.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
			t.Fatal(err)
		}
		fence, err := asleep.Fence(t.Context(), r.ID, "eu1")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := asleep.Plan(t.Context(), r.State(t), "eu1")
		if err != nil {
			t.Fatal(err)
		}
		d, err := asleep.Driver("eu1")
		if err != nil {
			t.Fatal(err)
		}
		r.Do(t, "eve", proceduretest.Abort())
		for range 2 { // it takes over, and then finds that it is aborted
			if _, err := heir.Turn(t.Context(), execute.New(heir.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.State(t); len(s.Begun) != 0 || s.Result("eu1").GetStatus() != releasev1.TargetResult_STATUS_SKIPPED {
			t.Fatalf("phase %s, begun on %v, %v", s.Phase, s.Begun, s.Results)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey(r.ID, 0, 1), fence, plan); err == nil {
			t.Error("whoever was asleep has its effect after all")
		}
		if effects := w.Effects(t, "eu1", r.ID); len(effects) != 0 {
			t.Errorf("effects %v", effects)
		}
	})
}

// A target is sealed by the number of the wave in which it runs, where step 3 divided the one
// that was asked for: an executor that slept with the second of them wakes to a target that is
// somebody else's by then.
func TestATargetOfADividedWaveIsSealed(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	w.Digest = w.Activate(t, sitetest.Document("risk_score: {weights: {target: 1}, levels: [{from: 1, first_wave: 1}]}\n"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}), func(q *releasev1.Request) { q.Plan.MayDivide = true })
	r.To(t, procedure.PhaseRisk)
	r.Do(t, "", proceduretest.Risk(r.State(t), time.Now(), func(f *procedure.RiskFacts) {
		f.Chosen = &releasev1.Chosen{Waves: []*releasev1.Wave{{Targets: []string{"eu1"}}, {Targets: []string{"eu2"}}}}
	}))
	asleep, heir := w.Executor(t, "asleep", nil), w.Executor(t, "heir", nil)
	step := execute.New(asleep.Site, time.Now)
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	for range 2 { // the claim of the first wave, and its effect
		if _, err := asleep.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
			t.Fatalf("%v: %s", err, r.State(t).EndReason)
		}
	}
	r.To(t, procedure.PhaseExecute)
	if _, err := asleep.Turn(t.Context(), step, r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	if s.Phase != procedure.PhaseExecuting || s.Wave != 1 || s.WaveTargets()[0] != "eu2" {
		t.Fatalf("phase %s, wave %d of %v", s.Phase, s.Wave, s.WaveTargets())
	}
	fence, err := asleep.Fence(t.Context(), r.ID, "eu2")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := asleep.Plan(t.Context(), s, "eu2")
	if err != nil {
		t.Fatal(err)
	}
	if err := heir.Shut(t.Context(), s, "eu2", w.Standing(t, "eu2")); err != nil {
		t.Fatal(err)
	}
	d, err := asleep.Driver("eu2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), driver.ApplyKey(r.ID, 1, 1), fence, plan); err == nil {
		t.Error("whoever was asleep has its effect after all")
	}
	if effects := w.Effects(t, "eu2", r.ID); len(effects) != 0 {
		t.Errorf("effects %v", effects)
	}
}

// What was claimed and skipped is as it was previewed, or the release is refused when a
// person has it tried again.
func TestATargetThatWasSkippedMustBeAsItWasPreviewed(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	one := w.Executor(t, "one", nil)
	step := execute.New(one.Site, time.Now)
	if _, err := one.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	plan, err := one.Plan(t.Context(), r.State(t), "eu1")
	if err != nil {
		t.Fatal(err)
	}
	r.Do(t, "eve", proceduretest.Abort())
	if _, err := one.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Turn(t.Context(), rollback.New(one.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	d, err := one.Driver("eu1")
	if err != nil {
		t.Fatal(err)
	}
	fence, err := one.Fence(t.Context(), r.ID, "eu1")
	if err != nil {
		t.Fatal(err)
	}
	plan.Artifact.Digest = sitetest.DigestOf(7)
	if _, err := d.Apply(t.Context(), driver.ApplyKey("by-hand", 0, 1), fence, plan); err != nil {
		t.Fatal(err)
	}
	r.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	if _, err := one.Turn(t.Context(), step, r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t); s.Phase == procedure.PhaseExecuting || s.EscalatedFor != releasev1.Cause_CAUSE_EXECUTION_REFUSED {
		t.Errorf("phase %s, escalated for %s", s.Phase, s.EscalatedFor)
	}
}
