package procedure_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnIncidentIsOpenUntilAPersonClosesIt follows one whose validation fails, and one of before
// closing was demanded, which ended when it was taken on and the release was over.
func TestAnIncidentIsOpenUntilAPersonClosesIt(t *testing.T) {
	for name, demanded := range map[string]bool{"closing is demanded": true, "of before": false} {
		t.Run(name, func(t *testing.T) { followIncident(t, demanded) })
	}
}

func followIncident(t *testing.T, demanded bool) {
	h := proceduretest.New(proceduretest.Request())
	asked := proceduretest.Requested(h.Asked, h.Now)
	asked.GetRequested().ClosingDemanded = demanded
	h.Do(t, "", asked)
	want := func(when string, open, untaken bool) {
		t.Helper()
		x, is := procedure.OpenIncident(h.State(), nil, false)
		_, isUntaken := procedure.OpenIncident(h.State(), nil, true)
		if is != open || isUntaken != untaken || is && x.Cause != releasev1.Cause_CAUSE_VALIDATION_FAILED {
			t.Errorf("%s: open %t, not taken on %t (%s), want %t, %t", when, is, isUntaken, x.Cause, open, untaken)
		}
		if _, is := procedure.OpenIncident(h.State(), []releasev1.Cause{releasev1.Cause_CAUSE_ROLLBACK_FAILED}, false); is {
			t.Errorf("%s: of another cause", when)
		}
	}
	h.To(t, procedure.PhaseVerify)
	want("before", false, false)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	want("when validation fails", true, true)
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	want("when people were called", true, true)
	h.Do(t, "eve", &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: releasev1.Cause_CAUSE_VALIDATION_FAILED, Comment: "on it"}}})
	want("when it was taken on", true, false)
	h.To(t, procedure.PhaseRelease)
	want("when it went back", true, false)
	h.To(t, procedure.PhaseRecord)
	want("when it only waits for its record", demanded, false)
	h.Do(t, "", proceduretest.Recorded(h.State()))
	want("when it is recorded", demanded, false)
	if demanded {
		h.Do(t, "eve", proceduretest.CloseIncident(h.State()))
		want("when it was closed", false, false)
	}
	h.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	if x, open := procedure.OpenIncident(h.State(), nil, true); !open || x.Cause != releasev1.Cause_CAUSE_UNEXPECTED_IMPACT {
		t.Errorf("an impact afterwards: %t, %s", open, x.Cause)
	}
}

// TestAnExecutionThatBeganNothingIsNoIncident and one that began something is.
func TestAnExecutionThatBeganNothingIsNoIncident(t *testing.T) {
	for status, want := range map[releasev1.TargetResult_Status]bool{
		releasev1.TargetResult_STATUS_SKIPPED: false, releasev1.TargetResult_STATUS_FAILED: true,
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseExecuting)
		h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": status}))
		if x, open := procedure.OpenIncident(h.State(), nil, false); open != want || len(h.State().OpenEscalations()) == 0 {
			t.Errorf("%s: %t, %s", status, open, x.Cause)
		}
	}
}

// TestWhatNeverBeganIsNoIncidentForWantOfAWayBack: there is nothing to take back, whether the
// data could not be, or it is a rollback, which is not rolled back by itself.
func TestWhatNeverBeganIsNoIncidentForWantOfAWayBack(t *testing.T) {
	for _, kind := range []func(*releasev1.Request){proceduretest.Irreversible, proceduretest.Rollback} {
		for status, want := range map[releasev1.TargetResult_Status]bool{
			releasev1.TargetResult_STATUS_SKIPPED: false, releasev1.TargetResult_STATUS_FAILED: true,
		} {
			h := proceduretest.New(proceduretest.Request(kind))
			h.To(t, procedure.PhaseExecuting)
			h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": status}))
			h.To(t, procedure.PhaseEscalated)
			x, open := procedure.OpenIncident(h.State(), []releasev1.Cause{releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE}, false)
			if open != want || !slices.Contains(h.State().OpenEscalations(), releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE) {
				t.Errorf("%s, %s: %t, %s", h.State().Request.GetTrigger(), status, open, x.Cause)
			}
		}
	}
}

// TestARetryThatIsRefusedBeforeAnythingBeganIsNoIncident and one of what has begun is: people
// are called about both.
func TestARetryThatIsRefusedBeforeAnythingBeganIsNoIncident(t *testing.T) {
	for status, want := range map[releasev1.TargetResult_Status]bool{
		releasev1.TargetResult_STATUS_SKIPPED: false, releasev1.TargetResult_STATUS_FAILED: true,
	} {
		h := proceduretest.New(proceduretest.Request(proceduretest.Irreversible))
		h.To(t, procedure.PhaseExecuting)
		h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": status}))
		h.To(t, procedure.PhaseEscalated)
		h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
		h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{ExecutionRefused: &releasev1.ExecutionRefused{Findings: proceduretest.Blocking("approval.expired")}}})
		x, open := procedure.OpenIncident(h.State(), []releasev1.Cause{releasev1.Cause_CAUSE_EXECUTION_REFUSED}, false)
		if open != want || !slices.Contains(h.State().OpenEscalations(), releasev1.Cause_CAUSE_EXECUTION_REFUSED) {
			t.Errorf("%s: %t, %s", status, open, x.Cause)
		}
	}
}

// TestWhatIsNoDamageIsNoIncident although people are called for it, and whatever a document
// says.
func TestWhatIsNoDamageIsNoIncident(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseExecute)
	if len(h.State().OpenEscalations()) == 0 {
		t.Fatal("nobody is called")
	}
	for _, causes := range [][]releasev1.Cause{nil, {releasev1.Cause_CAUSE_EMERGENCY_BYPASS}} {
		if x, open := procedure.OpenIncident(h.State(), causes, false); open {
			t.Errorf("%v: %s", causes, x.Cause)
		}
	}
}
