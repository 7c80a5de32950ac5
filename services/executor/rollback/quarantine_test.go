package rollback_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// standingOf is what the artifact of a version stands at.
func standingOf(t *testing.T, w *sitetest.World, version int) standing.Artifact {
	t.Helper()
	a, err := standing.ReadArtifact(t.Context(), w.Store(procedure.ServiceApproval), sitetest.DigestOf(version))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestWhatIsTakenBackGoesIntoQuarantineAtOnce: with the claim of the way back, in one
// batch, and not when it is done. A second executor that claims it does so once more and
// puts nothing there twice.
func TestWhatIsTakenBackGoesIntoQuarantineAtOnce(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := executed(t, w, []string{"eu1"})
	if standingOf(t, w, 2).Held {
		t.Fatal("it is in quarantine before anything was decided")
	}
	e := w.Executor(t, "back", nil)
	events, err := e.Turn(t.Context(), rollback.New(e.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) != 3 {
		t.Fatalf("claimed with %v, %v", events, err)
	}
	claim := r.Find(t, "rollback_claimed").GetRollbackClaimed()
	a := standingOf(t, w, 2)
	if claim.GetQuarantined() != sitetest.DigestOf(2) || !a.Held || a.State.GetReasons()[0].GetRelease() != r.ID ||
		a.State.GetReasons()[0].GetCause() != releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED {
		t.Errorf("claimed with %q, and it stands at %v", claim.GetQuarantined(), a.State)
	}
	if standingOf(t, w, 1).Held {
		t.Error("what it goes back to is in quarantine as well")
	}
	other := w.Executor(t, "other", nil)
	task := r.Task(t, 1)
	task.Now = task.State.Claim.LeaseUntil
	if _, err := other.Turn(t.Context(), rollback.New(other.Site, time.Now), task); err != nil {
		t.Fatal(err)
	}
	if got := r.Find(t, "rollback_claimed").GetRollbackClaimed(); got.GetClaimer() != "other" || got.GetQuarantined() != "" {
		t.Errorf("claimed by %s with %q", got.GetClaimer(), got.GetQuarantined())
	}
	if again := standingOf(t, w, 2); again.Expect != a.Expect {
		t.Error("it was put there twice")
	}
}

// TestWhatCannotBeTakenBackIsInQuarantineAllTheSame: it stays where it is, and goes
// nowhere else.
func TestWhatCannotBeTakenBackIsInQuarantineAllTheSame(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t, proceduretest.Irreversible)
	r.To(t, procedure.PhaseExecute)
	r.Do(t, "", proceduretest.Claim(r.State(t), "forth", time.Now()))
	w.Lock(t, "eu1", r.ID, "forth")
	r.Do(t, "", proceduretest.Executed(r.State(t), nil))
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	e := w.Executor(t, "back", nil)
	if _, err := e.Turn(t.Context(), rollback.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if d := r.Find(t, "rollback_unavailable").GetRollbackUnavailable(); d.GetQuarantined() != sitetest.DigestOf(2) || !standingOf(t, w, 2).Held {
		t.Errorf("unavailable with %q, and it stands at %v", d.GetQuarantined(), standingOf(t, w, 2).State)
	}
}

// TestWhatNeverRanIsNotInQuarantine: its targets were claimed, and nothing was begun.
func TestWhatNeverRanIsNotInQuarantine(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	r.Do(t, "", proceduretest.Claim(r.State(t), "forth", time.Now()))
	w.Lock(t, "eu1", r.ID, "forth")
	r.Do(t, "", procedure.DecideExecuted(r.State(t), proceduretest.Results(r.State(t), []string{"eu1"}, "",
		map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED}), "it was not begun"))
	e := w.Executor(t, "back", nil)
	if _, err := e.Turn(t.Context(), rollback.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if r.Find(t, "rollback_claimed") == nil || standingOf(t, w, 2).State != nil {
		t.Errorf("it stands at %v", standingOf(t, w, 2).State)
	}
}
