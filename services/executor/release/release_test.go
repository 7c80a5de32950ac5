package release_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

// verified runs a release to its first verification, and ends it with that verdict.
func verified(t *testing.T, w *sitetest.World, verdict releasev1.CheckResult_Verdict, changes ...func(*releasev1.Request)) *sitetest.Release {
	t.Helper()
	r := w.Release(t, changes...)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "forth-"+r.ID, nil)
	e.Start(t, execute.New, rollback.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), verdict, false))
	if verdict == releasev1.CheckResult_VERDICT_FAIL {
		r.Reaches(t, procedure.PhaseVerifyRollback)
		r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	}
	r.Reaches(t, procedure.PhaseRelease)
	e.Stop()
	return r
}

func TestTheTargetsAreLetGoInOneBatchWithTheOutcome(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
		w.Carries(t, "eu1", 1)
		r := verified(t, w, releasev1.CheckResult_VERDICT_PASS, proceduretest.Waves([]string{"eu1", "eu2"}))
		e := w.Executor(t, "one", nil)
		events, err := e.Turn(t.Context(), release.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v; want the outcome and two targets", len(events), err)
		}
		s := r.State(t)
		if s.Phase != procedure.PhaseRecord || s.Outcome != releasev1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("in phase %s with outcome %s", s.Phase, s.Outcome)
		}
		for i, target := range []string{"eu1", "eu2"} {
			now := w.Standing(t, target)
			d := now.State.GetDeployed()
			if now.LockedBy != "" || now.Expect != s.Head.Sequence+uint64(i)+1 {
				t.Errorf("target %s: held by %q, let go at %d, the release at %d", target, now.LockedBy, now.Expect, s.Head.Sequence)
			}
			if d.GetRelease() != r.ID || d.GetVersion() != "2.0.0" || d.GetDigest() != sitetest.DigestOf(2) || d.GetService() != "shop" {
				t.Errorf("target %s carries %v", target, d)
			}
		}
		eu1 := w.Standing(t, "eu1").State
		if eu1.GetGeneration() != 2 || eu1.GetPrevious().GetDigest() != sitetest.DigestOf(1) || len(eu1.GetRolledBack()) != 0 {
			t.Errorf("eu1: %v", eu1)
		}
	})
}

func TestATargetRemembersWhatItDidNotKeep(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := verified(t, w, releasev1.CheckResult_VERDICT_FAIL)
	w.Run(t, "one", release.New)
	s := r.Reaches(t, procedure.PhaseRecord)
	now := w.Standing(t, "eu1")
	if s.Outcome != releasev1.Outcome_OUTCOME_ROLLED_BACK || now.LockedBy != "" || now.State.GetGeneration() != 2 ||
		now.State.GetDeployed().GetDigest() != sitetest.DigestOf(1) {
		t.Errorf("outcome %s; held by %q: %v", s.Outcome, now.LockedBy, now.State)
	}
	if gone := now.State.GetRolledBack(); len(gone) != 1 || gone[0].GetRelease() != r.ID || gone[0].GetDigest() != sitetest.DigestOf(2) {
		t.Errorf("remembers %v", gone)
	}
	if s.Result("eu1").GetDigest() != sitetest.DigestOf(1) {
		t.Errorf("result %v", s.Result("eu1"))
	}
}

func TestATargetRemembersSixteen(t *testing.T) {
	state := &releasev1.TargetState{}
	for i := range 40 {
		state = standing.TakenBack(state, &releasev1.Deployment{Release: fmt.Sprint(i)})
	}
	if gone := state.GetRolledBack(); len(gone) != 16 || gone[0].GetRelease() != "39" || gone[15].GetRelease() != "24" || state.GetGeneration() != 40 {
		t.Errorf("%d remembered, generation %d", len(gone), state.GetGeneration())
	}
}

// TestAnAcceptedReleaseCarriesWhatIsThere: a person took it as it is, one target with
// the new version and one without.
func TestAnAcceptedReleaseCarriesWhatIsThere(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Host("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}), proceduretest.Irreversible)
	r.To(t, procedure.PhaseExecute)
	// The host cannot make its place for releases: a file stands there.
	folder := filepath.Join(w.Targets[1].GetHost().GetFolder(), "releases")
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run(t, "one", execute.New, rollback.New, release.New)
	r.Reaches(t, procedure.PhaseEscalated)
	r.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	s := r.Reaches(t, procedure.PhaseRecord)
	if s.Outcome != releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED {
		t.Errorf("outcome %s", s.Outcome)
	}
	for target, version := range map[string]int{"eu1": 2, "eu2": 1} {
		if got := w.Standing(t, target); got.LockedBy != "" || got.State.GetDeployed().GetDigest() != sitetest.DigestOf(version) {
			t.Errorf("target %s: held by %q, %v", target, got.LockedBy, got.State)
		}
	}
}

// TestATargetThatCannotTellCarriesItsLastResult asks an opaque target whose newest
// command did not end well.
func TestATargetThatCannotTellCarriesItsLastResult(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.Execute = sitetest.CommandTime + 5*time.Second
	r.To(t, procedure.PhaseExecute)
	w.Die(t, "command.ran")
	w.Run(t, "one", execute.New, release.New)
	r.Reaches(t, procedure.PhaseEscalated)
	r.Decide(t, "eve", releasev1.Intervened_ACTION_CONFIRM_DONE)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	s := r.Reaches(t, procedure.PhaseRecord)
	result := s.Result("eu1")
	if s.Outcome != releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES || result.GetMessage() == "" ||
		w.Standing(t, "eu1").State.GetDeployed().GetDigest() != sitetest.DigestOf(2) {
		t.Errorf("outcome %s, result %v, %v", s.Outcome, result, w.Standing(t, "eu1").State)
	}
}

// TestATargetWithoutADriverCarriesItsLastResult: eu1 went back and eu2 did not, and the
// executor that lets them go does not reach eu1 any more.
func TestATargetWithoutADriverCarriesItsLastResult(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}))
	r.To(t, procedure.PhaseExecute)
	forth := w.Executor(t, "forth", nil)
	forth.Start(t, execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	forth.Stop()
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	all := w.Targets
	w.Targets = all[:1]
	back := w.Executor(t, "back", nil)
	back.Start(t, rollback.New)
	r.Reaches(t, procedure.PhaseEscalated)
	back.Stop()
	r.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	w.Targets = all[1:]
	w.Run(t, "one", release.New)
	r.Reaches(t, procedure.PhaseRecord)
	for target, version := range map[string]int{"eu1": 1, "eu2": 2} {
		if got := w.Standing(t, target).State.GetDeployed().GetDigest(); got != sitetest.DigestOf(version) {
			t.Errorf("target %s is on record with %s", target, got)
		}
	}
}

func TestTwoExecutorsLetGoOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		w.Carries(t, "eu1", 1)
		r := verified(t, w, releasev1.CheckResult_VERDICT_PASS)
		task := r.Task(t, 1)
		one, two := w.Executor(t, "one", nil), w.Executor(t, "two", nil)
		if _, err := one.Turn(t.Context(), release.New(one.Site, time.Now), task); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Turn(t.Context(), release.New(two.Site, time.Now), task); !sitetest.Conflict(err) {
			t.Errorf("the second: %v", err)
		}
		if got := w.Standing(t, "eu1").State.GetGeneration(); got != 2 {
			t.Errorf("generation %d", got)
		}
	})
}

// TestAnotherReleasesLockIsNotTakenAway: whoever does not hold it does not let it go
// (bad input 81).
func TestAnotherReleasesLockIsNotTakenAway(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := verified(t, w, releasev1.CheckResult_VERDICT_PASS)
	w.Lock(t, "eu1", "shop-other", "somebody")
	w.Run(t, "one", release.New)
	r.Reaches(t, procedure.PhaseRecord)
	if now := w.Standing(t, "eu1"); now.LockedBy != "shop-other" {
		t.Errorf("held by %q", now.LockedBy)
	}
}

// TestWhatNeverRanIsNotRemembered stops a release between its claim and its effect, and
// asks for it again.
func TestWhatNeverRanIsNotRemembered(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	before := w.Standing(t, "eu1").State
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	step := execute.New(e.Site, time.Now)
	cause := r.Cause(t)
	if _, err := e.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	r.Do(t, "eve", proceduretest.Abort())
	if _, err := e.Turn(t.Context(), step, r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	e.Start(t, rollback.New, release.New)
	r.Reaches(t, procedure.PhaseVerifyRollback)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	s := r.Reaches(t, procedure.PhaseRecord)
	if s.Outcome != releasev1.Outcome_OUTCOME_ROLLED_BACK || len(w.Effects(t, "eu1", r.ID)) != 0 {
		t.Fatalf("ended %s after %d effects", s.Outcome, len(w.Effects(t, "eu1", r.ID)))
	}
	now := w.Standing(t, "eu1")
	if now.LockedBy != "" || !proto.Equal(now.State, before) {
		t.Errorf("held by %q: %v, was %v", now.LockedBy, now.State, before)
	}
}
