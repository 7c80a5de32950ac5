package execute_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// byHand makes a target carry another version than it did, and nobody else hears of it.
func byHand(t *testing.T, w *sitetest.World, target string, version int) {
	t.Helper()
	epoch, err := w.Store(procedure.ServiceExecutor).Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := drivertest.Plan(target, version)
	plan.Artifact = drivertest.File("shop", sitetest.Location(version), sitetest.Content(version))
	fence := driver.Fence{Epoch: epoch, Sequence: w.Standing(t, target).Expect + 1}
	if _, err := w.Driver(t, target).Apply(t.Context(), driver.ApplyKey("by-hand", 0, 1), fence, plan); err != nil {
		t.Fatal(err)
	}
}

// TestATargetThatIsNotAsItWasPreviewedIsRefused has somebody change a target between the
// preview and the start, past everything that is on record.
func TestATargetThatIsNotAsItWasPreviewedIsRefused(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]sitetest.Target{"noop": sitetest.Noop("eu1"), "host": sitetest.Host("eu1"), "command": sitetest.Command("eu1")} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, target)
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			byHand(t, w, "eu1", 3)
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			refused(t, w, r, "it carries "+sitetest.DigestOf(3)+", and carried "+sitetest.DigestOf(1))
			if w.Running(t, "eu1") != 3 {
				t.Errorf("version %d", w.Running(t, "eu1"))
			}
		})
	}
}

func refused(t *testing.T, w *sitetest.World, r *sitetest.Release, why string) {
	t.Helper()
	f := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
	if len(f) != 1 || f[0].GetRule() != procedure.HoldTargetChanged || f[0].GetSubject() != "eu1" || !strings.Contains(f[0].GetMessage(), why) {
		t.Errorf("findings %v", f)
	}
	if s := r.State(t); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || s.Started() || w.Standing(t, "eu1").LockedBy != "" {
		t.Errorf("outcome %s, held by %q", s.Outcome, w.Standing(t, "eu1").LockedBy)
	}
}

func TestATargetThatPointsNowhereIsRefused(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	current := filepath.Join(w.Targets[0].GetHost().GetFolder(), "current")
	if err := os.Remove(current); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/opt/elsewhere", current); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	refused(t, w, r, "which is no release")
}

// TestTheSecondWaveIsLookedAtWhenItStarts: it was previewed with the first one.
func TestTheSecondWaveIsLookedAtWhenItStarts(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	byHand(t, w, "eu2", 3)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	s := r.Reaches(t, procedure.PhaseEscalated)
	if s.EscalatedFor != releasev1.Cause_CAUSE_EXECUTION_REFUSED || w.Running(t, "eu2") != 3 {
		t.Errorf("escalated for %s, eu2 carries version %d", s.EscalatedFor, w.Running(t, "eu2"))
	}
}
