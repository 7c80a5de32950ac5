package preview_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// backByHand releases two versions to a host, and has somebody put the first one back
// past everything that is on record, and remove the second.
func backByHand(t *testing.T) *sitetest.World {
	t.Helper()
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu1", 2)
	folder := w.Targets[0].GetHost().GetFolder()
	release := func(version int) string {
		return "releases/" + strings.TrimPrefix(sitetest.DigestOf(version), "sha256:")
	}
	current := filepath.Join(folder, "current")
	for _, err := range []error{os.Remove(current), os.Symlink(release(1), current), os.RemoveAll(filepath.Join(folder, release(2)))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// previewed lets the step look at a release.
func previewed(t *testing.T, w *sitetest.World, r *sitetest.Release) procedure.State {
	t.Helper()
	r.To(t, procedure.PhasePreview)
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	return r.State(t)
}

// drifts returns the severities of what was found about targets that are not as the
// record says.
func drifts(s procedure.State) []releasev1.Finding_Severity {
	var out []releasev1.Finding_Severity
	for _, f := range s.Findings {
		if f.GetRule() == "target.drift" {
			out = append(out, f.GetSeverity())
		}
	}
	return out
}

func TestATargetThatIsNotAsTheRecordSaysIsRefused(t *testing.T) {
	w := backByHand(t)
	s := previewed(t, w, w.Release(t, sitetest.Version(3)))
	if found := drifts(s); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || len(found) != 1 || !strings.Contains(s.EndReason, "it carries "+sitetest.DigestOf(1)[:19]) {
		t.Errorf("in phase %s, %s; found %v", s.Phase, s.EndReason, found)
	}
}

func TestATargetThatCarriesWhatNobodyReleasedIsRefused(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	w.Unlock(t, "eu1", "shop-x", &releasev1.TargetState{Generation: 7})
	s := previewed(t, w, w.Release(t))
	if found := drifts(s); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || len(found) != 1 {
		t.Errorf("in phase %s, %s; found %v", s.Phase, s.EndReason, found)
	}
}

// TestTheWayBackThatIsShownIsTheOneTaken: in an emergency people go on from what is
// there, and what they approved as the way back is what happens when it comes to that.
func TestTheWayBackThatIsShownIsTheOneTaken(t *testing.T) {
	w := backByHand(t)
	r := w.Release(t, sitetest.Version(3), proceduretest.Emergency)
	s := previewed(t, w, r)
	shown := s.Preview("eu1")
	if found := drifts(s); len(found) != 1 || found[0] != releasev1.Finding_SEVERITY_WARNING ||
		shown.GetRollbackDigest() != sitetest.DigestOf(1) || !shown.GetRollbackReady() {
		t.Fatalf("in phase %s: %v; found %v", s.Phase, shown, found)
	}
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "two", execute.New, rollback.New)
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	s = r.Reaches(t, procedure.PhaseVerifyRollback)
	if w.Running(t, "eu1") != 1 || s.Result("eu1").GetDigest() != shown.GetRollbackDigest() {
		t.Errorf("carries version %d, %v", w.Running(t, "eu1"), s.Result("eu1"))
	}
}

// TestOfATargetThatCannotTellTheRecordIsTaken: a command that a person confirmed as done
// is on record, and its driver does not know how it ended.
func TestOfATargetThatCannotTellTheRecordIsTaken(t *testing.T) {
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Carries(t, "eu1", 1)
	confirmed := w.Release(t, proceduretest.Key("confirmed"))
	confirmed.To(t, procedure.PhaseExecute)
	w.Die(t, command.PointRan)
	w.Unlock(t, "eu1", confirmed.ID, standing.Carrying(w.Standing(t, "eu1").State, &releasev1.Deployment{
		Release: confirmed.ID, Version: "2.0.0", Digest: sitetest.DigestOf(2), Service: "shop",
	}))

	s := previewed(t, w, w.Release(t, sitetest.Version(3)))
	if p := s.Preview("eu1"); len(drifts(s)) != 0 || p.GetRollbackDigest() != sitetest.DigestOf(2) || !p.GetRollbackReady() {
		t.Errorf("in phase %s, %s: %v", s.Phase, s.EndReason, p)
	}
}

// TestATargetThatAnotherReleaseChangesHasNotDrifted: what it carries meanwhile is looked
// at again when that release is over.
func TestATargetThatAnotherReleaseChangesHasNotDrifted(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	other := w.Release(t, proceduretest.Key("other"))
	other.To(t, procedure.PhaseExecute)
	r := w.Release(t, sitetest.Version(3))
	r.To(t, procedure.PhasePreview)
	w.Run(t, "two", execute.New)
	other.Reaches(t, procedure.PhaseVerify)
	if s := previewed(t, w, r); s.Phase != procedure.PhaseRisk || s.Preview("eu1").GetRollbackDigest() != sitetest.DigestOf(1) {
		t.Errorf("in phase %s, %s: %v", s.Phase, s.EndReason, s.Preview("eu1"))
	}
}
