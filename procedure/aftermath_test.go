package procedure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A hundred people may be asked: the bound is on what a history can make others count.
func TestAQuorumOfAHundredIsAsked(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRisk)
	h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) {
		f.Quorum = []*releasev1.QuorumRule{{Group: "release-managers", Count: 60}, {Group: "security", Count: 40}}
	}))
	if s := h.State(); s.Phase != procedure.PhaseApprove {
		t.Errorf("in phase %s", s.Phase)
	}
}

// TestWhatChangedIsLookedAtAgain goes on behind a hold with what may have changed.
func TestWhatChangedIsLookedAtAgain(t *testing.T) {
	for rule, then := range map[string]procedure.Phase{
		procedure.HoldTargetBusy: procedure.PhaseScope, procedure.HoldTargetChanged: procedure.PhaseScope, "freeze": procedure.PhaseRisk,
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseRisk)
		h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold(rule, h.Now.Add(time.Hour))}})
		h.To(t, then)
		if last := h.Entries[len(h.Entries)-1].Event; last.GetDeadlinePassed() == nil {
			t.Errorf("%s: phase %s comes with %s and not when the hold ends", rule, then, procedure.TypeOf(last))
		}
	}
}

// TestAnUnknownWayBackNamesEveryWave takes an outcome of targets that are no longer in
// work, and waits for the executor that may still begin on any of them.
func TestAnUnknownWayBackNamesEveryWave(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(two))
	h.To(t, procedure.PhaseVerify)
	secondWaveFailed(t, h)
	h.To(t, procedure.PhaseRollingBack)
	until := h.State().Claim.Deadline
	h.Do(t, "", proceduretest.Lost(h.State()))
	s := h.State()
	if s.Result("eu1").GetStatus() != releasev1.TargetResult_STATUS_UNKNOWN || !s.DecideFrom.Equal(until) {
		t.Errorf("eu1 is %s, decided from %s, want from %s", s.Result("eu1").GetStatus(), s.DecideFrom, until)
	}
}

// TestAnUnknownOutcomeWithoutTargetsIsNoAnswer: nobody says that a target was asked.
func TestAnUnknownOutcomeWithoutTargetsIsNoAnswer(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	until := h.State().Claim.Deadline
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_ExecutionUnknown{ExecutionUnknown: &releasev1.ExecutionUnknown{Attempt: 1}}})
	if s := h.State(); !s.DecideFrom.Equal(until) {
		t.Errorf("decided from %s, want from %s", s.DecideFrom, until)
	}
}

// TestWhatIsLetGoIsTheLastWord about what a target carries.
func TestWhatIsLetGoIsTheLastWord(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRelease)
	e := proceduretest.Released(h.State())
	e.GetTargetsReleased().GetResults()[0].Digest = proceduretest.Digest('5')
	h.Do(t, "", e)
	if got := h.State().Result("eu1").GetDigest(); got != proceduretest.Digest('5') {
		t.Errorf("eu1 carries %s", got)
	}
}

// TestWhoRetriesTakesTheAbortBack: otherwise the wave would go back when it is done.
func TestWhoRetriesTakesTheAbortBack(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "dan", proceduretest.Abort())
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Executed(h.State(), nil))
	if s := h.State(); s.Phase != procedure.PhaseVerify {
		t.Errorf("in phase %s", s.Phase)
	}
}

// TestAReviewAnswersNoOtherCall leaves the call for the emergency open.
func TestAReviewAnswersNoOtherCall(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseFollowUp)
	called(t, h)
	h.Do(t, "cleo", proceduretest.Review())
	if open := h.State().OpenEscalations(); !slices.Equal(open, []releasev1.Cause{releasev1.Cause_CAUSE_EMERGENCY_BYPASS}) {
		t.Errorf("open is %v", open)
	}
}

// TestWhoTakesTheWayBackOverInheritsItsDeadline: executors that die one after the other
// would otherwise put it off for good.
func TestWhoTakesTheWayBackOverInheritsItsDeadline(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRollingBack)
	before, _ := procedure.NextDeadline(h.State())
	h.Advance(time.Minute)
	h.Do(t, "", proceduretest.Remedy(h.State(), "executor-2", h.Now))
	if after, _ := procedure.NextDeadline(h.State()); after != before {
		t.Errorf("the deadline was %v and is %v", before, after)
	}
}

// TestTheWeakestDriverDecides about a claim of several targets, wherever it stands, and
// of a target that nobody previewed nothing is promised.
func TestTheWeakestDriverDecides(t *testing.T) {
	const (
		fenced    = releasev1.DriverClass_DRIVER_CLASS_FENCED
		probeable = releasev1.DriverClass_DRIVER_CLASS_PROBEABLE
		opaque    = releasev1.DriverClass_DRIVER_CLASS_OPAQUE
	)
	s := procedure.State{Previews: []*releasev1.TargetPreview{
		{Target: "eu1", Class: fenced}, {Target: "eu2", Class: probeable}, {Target: "eu3", Class: opaque},
	}}
	for _, test := range []struct {
		targets []string
		want    releasev1.DriverClass
	}{
		{[]string{"eu1"}, fenced},
		{[]string{"eu2", "eu1"}, probeable},
		{[]string{"eu1", "eu3", "eu2"}, opaque},
		{[]string{"eu1", "ap1"}, opaque},
	} {
		if got := s.ClassOf(test.targets); got != test.want {
			t.Errorf("%v: %s, want %s", test.targets, got, test.want)
		}
	}
}
