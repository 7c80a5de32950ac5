package approvaltest

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Reach makes a release and carries it the good way to that phase.
func (r *Rig) Reach(t testing.TB, phase procedure.Phase, changes ...func(*releasev1.Request)) string {
	t.Helper()
	release := r.Request(t, changes...)
	r.To(t, release, phase)
	return release
}

// To carries a release the good way to that phase.
func (r *Rig) To(t testing.TB, release string, phase procedure.Phase) procedure.State {
	t.Helper()
	for range 50 {
		s := r.State(t, release)
		if s.Phase == phase {
			return s
		}
		person, event := good(s)
		if event == nil {
			t.Fatalf("release %s in phase %s: phase %s is not ahead", release, s.Phase, phase)
		}
		r.Do(t, release, person, event)
	}
	t.Fatalf("release %s does not come to phase %s", release, phase)
	return procedure.State{}
}

func good(s procedure.State) (person string, event *releasev1.Event) {
	at := time.Now()
	switch s.Phase { //nolint:exhaustive // The phases of the good way, and of the way back.
	case procedure.PhaseGates:
		return "", proceduretest.Gates(s)
	case procedure.PhaseScope:
		return "", Scope(s)
	case procedure.PhasePreview:
		return "", proceduretest.Preview(s, releasev1.DriverClass_DRIVER_CLASS_FENCED, nil, nil)
	case procedure.PhaseRisk:
		return "", proceduretest.Risk(s, at)
	case procedure.PhaseRemedy:
		return "", proceduretest.Remedy(s, "executor-1", at)
	case procedure.PhaseRollingBack:
		return "", proceduretest.RolledBack(s, nil)
	case procedure.PhaseVerifyRollback:
		return "", proceduretest.Verified(s, releasev1.CheckResult_VERDICT_PASS, false)
	case procedure.PhaseApprove:
		if e := proceduretest.Authorize(s, at); e != nil {
			return "", e
		}
		for _, p := range []string{"anna", "ben", "eve", "dan", "cleo"} {
			if procedure.MayApprove(s, proceduretest.Person(p), s.ChangeDigest, at) == nil {
				return p, proceduretest.Approval(s, at.Add(12*time.Hour))
			}
		}
	case procedure.PhaseNotify:
		return "", proceduretest.Notify(s)
	case procedure.PhaseExecute:
		return "", proceduretest.Claim(s, "executor-1", at)
	case procedure.PhaseExecuting:
		return "", proceduretest.Executed(s, nil)
	case procedure.PhaseVerify:
		return "", proceduretest.Verified(s, releasev1.CheckResult_VERDICT_PASS, false)
	case procedure.PhaseRelease:
		return "", proceduretest.Released(s)
	case procedure.PhaseRecord:
		return "", proceduretest.Recorded(s)
	}
	return "", nil
}

// Scope ends step 2 with targets that nothing was ever released to, as they stand
// before the first lock.
func Scope(s procedure.State) *releasev1.Event {
	e := proceduretest.Scope(s)
	for _, t := range e.GetScopeValidated().GetTargets() {
		t.State = &releasev1.TargetState{}
	}
	return e
}

// Lock gives a target to a release.
func (r *Rig) Lock(t testing.TB, target, release string) {
	t.Helper()
	now, err := standing.ReadTarget(t.Context(), r.Store, target)
	if err != nil {
		t.Fatal(err)
	}
	r.place(t, now.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{
		TargetLocked: &releasev1.TargetLocked{Release: release, Claimer: "executor-1", State: now.State},
	}}))
}

// Unlock lets a target go on which the release was verified.
func (r *Rig) Unlock(t testing.TB, target, release string) {
	t.Helper()
	r.Carries(t, target, &releasev1.Deployment{Release: release, Digest: proceduretest.Digest('a')})
}

// Carries makes a target carry something, by the record.
func (r *Rig) Carries(t testing.TB, target string, d *releasev1.Deployment) {
	t.Helper()
	now, err := standing.ReadTarget(t.Context(), r.Store, target)
	if err != nil {
		t.Fatal(err)
	}
	r.place(t, now.Draft(&releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
		Release: d.GetRelease(), State: standing.Carrying(now.State, d),
	}}}))
}

func (r *Rig) place(t testing.TB, d eventstore.Draft) {
	t.Helper()
	if _, err := r.stores[procedure.ServiceExecutor].Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}
