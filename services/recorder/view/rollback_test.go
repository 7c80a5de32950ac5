package view_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// TestAWayBackIsShownAsAChangeOfItsOwn with its own steps, from its order to the end of its
// record; each way links to the other.
func TestAWayBackIsShownAsAChangeOfItsOwn(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	if ways := view.Of(h.Release, h.Entries).WaysBack(); len(ways) > 0 {
		t.Errorf("before anything failed: %v", ways)
	}
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	for _, at := range []struct {
		phase procedure.Phase
		want  string
	}{
		{procedure.PhaseRemedy, "remedy: pending pending pending"},
		{procedure.PhaseRollingBack, "rolling_back: running pending pending"},
		{procedure.PhaseVerifyRollback, "verify_rollback: done running pending"},
		{procedure.PhaseRelease, "record: done done waiting"},
		{procedure.PhaseClosed, "closed: done done done"},
	} {
		h.To(t, at.phase)
		whole := view.Of(h.Release, h.Entries)
		w := whole.WaysBack()[0]
		got := w.GetPhase() + ":"
		for i, s := range w.GetSteps() {
			got += " " + view.Word(s.GetStatus(), "STATUS_")
			if s.GetNumber() != []string{"5", "6", "8"}[i] {
				t.Errorf("step %d is %s", i, s.GetNumber())
			}
		}
		if got != at.want {
			t.Errorf("%s, want %s", got, at.want)
		}
		of := whole.Release(0).GetRollbacks()
		if w.GetWayBackOf() != h.Release || w.GetRelease() != h.Release+"-rb1" || len(of) != 1 || of[0].GetRollback() != w.GetRelease() || of[0].GetRelease() != h.Release {
			t.Errorf("in phase %s: %v, %v", at.phase, w, of)
		}
		if w.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK || !slices.Equal(w.GetTargets(), []string{"eu1"}) || w.GetClosed() != (at.phase == procedure.PhaseClosed) {
			t.Errorf("in phase %s: %v", at.phase, w)
		}
	}
	w := view.Of(h.Release, h.Entries).WaysBack()[0]
	if r := w.GetRollbacks()[0]; w.GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK || r.GetRecordDigest() == "" || w.GetLastSequence() != r.GetRecordedByEvent() {
		t.Errorf("at the end: %v", w)
	}
}

// TestAWayBackThatFailedSaysInWhichStep, and one of which nobody knows waits with its release.
func TestAWayBackThatFailedSaysInWhichStep(t *testing.T) {
	for name, test := range map[string]struct {
		to   procedure.Phase
		fail func(s procedure.State) *releasev1.Event
		want string
	}{
		"executed": {procedure.PhaseRollingBack, func(s procedure.State) *releasev1.Event {
			return proceduretest.RolledBack(s, map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_FAILED})
		}, "escalated OUTCOME_ROLLBACK_FAILED STATUS_FAILED STATUS_SKIPPED STATUS_WAITING"},
		"verified": {procedure.PhaseVerifyRollback, func(s procedure.State) *releasev1.Event {
			return proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false)
		}, "escalated OUTCOME_ROLLBACK_FAILED STATUS_DONE STATUS_FAILED STATUS_WAITING"},
		"unknown": {procedure.PhaseRollingBack, func(s procedure.State) *releasev1.Event {
			return proceduretest.RolledBack(s, map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN})
		}, "escalated OUTCOME_ROLLBACK_UNKNOWN STATUS_FAILED STATUS_SKIPPED STATUS_WAITING"},
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseVerify)
		h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
		h.To(t, test.to)
		h.Do(t, "", test.fail(h.State()))
		w := view.Of(h.Release, h.Entries).WaysBack()[0]
		steps := w.GetSteps()
		if got := fmt.Sprint(w.GetPhase(), " ", w.GetOutcome(), " ", steps[0].GetStatus(), " ", steps[1].GetStatus(), " ", steps[2].GetStatus()); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
