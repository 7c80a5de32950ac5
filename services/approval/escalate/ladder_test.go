package escalate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/escalate"
)

// threeRungs gives the ladder a rung more.
type threeRungs struct{ index *policy.Index }

func (p threeRungs) ByDigest(context.Context, string) (*policy.Index, error) { return p.index, nil }

func ladder() threeRungs {
	return threeRungs{policy.NewIndex(approvaltest.Document(func(d *policyv1.Procedure) {
		d.Escalation.Rungs = append(d.Escalation.Rungs, &policyv1.Rung{Group: "security", AcknowledgeWithin: durationpb.New(20 * time.Minute)})
	}))}
}

// calls lets the step make every call that is due at the history's time.
func calls(t *testing.T, h *proceduretest.History) {
	t.Helper()
	step := escalate.New(ladder())
	for procedure.Due(step.ID, h.State(), h.Now) {
		drafts, err := step.Act(t.Context(), reactor.Task{State: h.State(), Now: h.Now})
		if err != nil || len(drafts) != 1 {
			t.Fatalf("%v, %v", drafts, err)
		}
		h.Do(t, "", drafts[0].Event)
	}
}

// N-16, by a clock that the test holds: nobody takes it on for ten minutes, so rung 2 is
// called, and after fifteen more rung 3; who takes it on ends that, and all of it, with
// its times, is in the history that the record is made of.
func TestTheLadderIsClimbedAndWhoTakesItOnIsOnRecord(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	start := h.Now
	calls(t, h)
	for range 2 {
		next, _ := procedure.NextDeadline(h.State())
		h.Advance(next.At.Sub(h.Now) - time.Nanosecond)
		if d := procedure.DecideDeadline(h.State(), h.Now); d != nil {
			t.Fatalf("a nanosecond early: %v", d)
		}
		h.Advance(time.Nanosecond)
		h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
		calls(t, h)
	}
	h.Advance(5 * time.Minute)
	h.Do(t, "ben", proceduretest.Acknowledge(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN))
	h.Advance(time.Hour)
	calls(t, h)
	var got []string
	for _, e := range h.Entries {
		at := e.Stored.Sub(start).Truncate(time.Minute) // Each event of the history takes a second.
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_Escalated:
			got = append(got, fmt.Sprintf("%s rung %d: %s, until %s", at, d.Escalated.GetRung(), strings.Join(d.Escalated.GetTo(), " "), d.Escalated.GetAcknowledgeBy().AsTime().Sub(start).Truncate(time.Minute)))
		case *releasev1.Event_Acknowledged:
			got = append(got, fmt.Sprintf("%s taken on by %s", at, e.Event.GetActor().GetId()))
		}
	}
	want := []string{
		"0s rung 1: gina, until 10m0s",
		"10m0s rung 2: eve otto, until 25m0s",
		"25m0s rung 3: ada alan ben cleo, until 45m0s",
		"30m0s taken on by ben",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
}

// opens checks that what happened opened a ladder for that cause, and called somebody.
func opens(t *testing.T, h *proceduretest.History, cause releasev1.Cause, says string) {
	t.Helper()
	calls(t, h)
	i := slices.IndexFunc(h.Entries, func(e procedure.Entry) bool { return e.Event.GetEscalated().GetCause() == cause })
	if i < 0 {
		t.Fatalf("nobody is called for %s: %+v", cause, h.State().Escalations)
	}
	called := h.Entries[i].Event.GetEscalated()
	if called.GetRung() != 1 || !slices.Equal(called.GetTo(), []string{"gina"}) || called.GetIncident() == "" || !strings.Contains(called.GetSummary(), says) {
		t.Errorf("called %v", called)
	}
	if !slices.Contains(h.State().OpenEscalations(), cause) {
		t.Errorf("open %v", h.State().OpenEscalations())
	}
}

// The four causes for which PROC-DEPLOY-001 has people called, one test each.

func TestCauseDeploymentValidationFails(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	opens(t, h, releasev1.Cause_CAUSE_VALIDATION_FAILED, "validation failed: shop 1.4.2")
}

func TestCauseUnexpectedCustomerOrProductionImpact(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "finn", proceduretest.Impact())
	opens(t, h, releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, "checkout fails for every third customer; customers: acme")
}

// TestCauseOfAReleaseThatIsVerifiedNoMore says which look it was and what it saw, and which nobody
// could see.
func TestCauseOfAReleaseThatIsVerifiedNoMore(t *testing.T) {
	for cause, test := range map[releasev1.Cause]struct {
		verdict releasev1.CheckResult_Verdict
		says    string
	}{
		releasev1.Cause_CAUSE_VERIFICATION_REVOKED:  {releasev1.CheckResult_VERDICT_FAIL, "it was verified, and look 1 after that says: health on eu1: as the test has it"},
		releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN: {releasev1.CheckResult_VERDICT_INCONCLUSIVE, "the newest 1 looks after that have no verdict"},
	} {
		r := proceduretest.Request()
		h := proceduretest.New(r)
		h.Do(t, "", proceduretest.LookedAtAgain(r, h.Now, time.Hour, 1))
		h.To(t, procedure.PhaseClosed)
		h.Advance(time.Hour)
		h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, test.verdict))
		opens(t, h, cause, test.says)
	}
}

func TestCauseRollbackFails(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.Do(t, "", proceduretest.Remedy(h.State(), "executor-1", h.Now))
	h.Do(t, "", proceduretest.RolledBack(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_FAILED}))
	opens(t, h, releasev1.Cause_CAUSE_ROLLBACK_FAILED, "rollback failed: shop 1.4.2")
}

func TestCauseRollbackIsNotAvailable(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Irreversible))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.Do(t, "", proceduretest.Remedy(h.State(), "executor-1", h.Now))
	opens(t, h, releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE, "rollback unavailable: shop 1.4.2")
}

func TestCauseEmergencyBypassesControlSteps(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseNotify)
	opens(t, h, releasev1.Cause_CAUSE_EMERGENCY_BYPASS, "emergency bypass: shop 1.4.2")
}
