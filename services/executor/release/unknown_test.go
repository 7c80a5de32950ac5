package release_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// lost has the executor of a target that cannot tell what it carries die in its command.
func lost(t *testing.T) (*sitetest.World, *sitetest.Release) {
	t.Helper()
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.Execute = sitetest.CommandTime + 5*time.Second
	r.To(t, procedure.PhaseExecute)
	w.Die(t, "command.ran")
	w.Run(t, "one", execute.New, release.New)
	r.Reaches(t, procedure.PhaseEscalated)
	return w, r
}

// TestWhatNobodyKnowsIsNoWayBack: a person takes a release as it is of which nobody knows
// whether it is there. Neither it nor what was there before is what the next release may
// promise to go back to (PD-3.5).
func TestWhatNobodyKnowsIsNoWayBack(t *testing.T) {
	t.Parallel()
	w, r := lost(t)
	r.Decide(t, "eve", releasev1.Intervened_ACTION_ACCEPT)
	s := r.Reaches(t, procedure.PhaseRecord)
	if result := s.Result("eu1"); s.Outcome != releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED || result.GetStatus() != releasev1.TargetResult_STATUS_UNKNOWN || result.GetDigest() != "" {
		t.Errorf("outcome %s, result %v", s.Outcome, result)
	}
	now := w.Standing(t, "eu1")
	if now.LockedBy != "" || now.State.GetUnknownSince() != r.ID || now.State.GetDeployed().GetDigest() != sitetest.DigestOf(1) || now.State.GetGeneration() != 2 {
		t.Errorf("held by %q, %v", now.LockedBy, now.State)
	}
	next := w.Release(t, proceduretest.Key("next"), sitetest.Version(3))
	next.To(t, procedure.PhasePreview)
	e := w.Executor(t, "next", nil)
	if _, err := e.Turn(t.Context(), preview.New(e.Site), next.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s = next.State(t)
	if p := s.Preview("eu1"); s.Phase != procedure.PhaseRisk || p.GetRollbackReady() || p.GetRollbackDigest() != "" || p.GetRollbackReason() == "" {
		t.Errorf("in phase %s, %s: %v", s.Phase, s.EndReason, p)
	}
	if len(s.Findings) != 1 || s.Findings[0].GetRule() != "target.unknown" || s.Findings[0].GetSubject() != "eu1" {
		t.Errorf("findings %v", s.Findings)
	}
}

// TestWhatAPersonConfirmedIsWhatATargetCarries: the way back was lost as well, somebody
// looked and said that it is done, and the release was accepted when its verification
// failed all the same. The target carries what it went back to.
func TestWhatAPersonConfirmedIsWhatATargetCarries(t *testing.T) {
	t.Parallel()
	w, r := lost(t)
	r.Decide(t, "eve", releasev1.Intervened_ACTION_CONFIRM_DONE)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	claim := proceduretest.Remedy(r.State(t), "gone", time.Now())
	claim.GetRollbackClaimed().Deadline = timestamppb.New(time.Now().Add(5 * time.Second))
	r.Do(t, "", claim)
	r.Do(t, "", proceduretest.Lost(r.State(t)))
	r.Decide(t, "eve", releasev1.Intervened_ACTION_CONFIRM_DONE)
	if result := r.State(t).Result("eu1"); result.GetStatus() != releasev1.TargetResult_STATUS_DONE || result.GetDigest() != sitetest.DigestOf(1) {
		t.Errorf("confirmed: %v", result)
	}
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	r.Reaches(t, procedure.PhaseRecord)
	state := w.Standing(t, "eu1").State
	if state.GetDeployed().GetDigest() != sitetest.DigestOf(1) || state.GetUnknownSince() != "" || len(state.GetRolledBack()) != 1 {
		t.Errorf("it is on record with %v", state)
	}
}
