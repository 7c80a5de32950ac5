package execute_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestIncidentsAreLookedAtAgainBeforeEveryWave: after a release was approved another one of the
// same service hits customers. Its start waits, the other one's own next wave does not, and an
// emergency goes past it and says so; when somebody has taken it on, the start goes on.
func TestIncidentsAreLookedAtAgainBeforeEveryWave(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	w.Digest = w.Keep(t, sitetest.Document(neighboring+"incidents: {until: UNTIL_TAKEN_ON}\n"))
	hurt := w.open(t, "hurt", proceduretest.Waves([]string{"eu1"}, []string{"bill1"}))
	w.turn(t, hurt, 0)
	w.turn(t, hurt, 0)
	late := w.open(t, "late", proceduretest.Waves([]string{"eu2"})) // and goes first to eu2
	next := w.open(t, "next", proceduretest.Waves([]string{"eu2"}))
	if s := w.turn(t, late, 0); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("before: in phase %s, %v", s.Phase, s.Holds)
	}
	hurt.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	if s := w.turn(t, late, 0); len(s.Begun) > 0 || s.Phase != procedure.PhaseRemedy {
		t.Errorf("between claim and effect: in phase %s, begun %q", s.Phase, s.Begun)
	}
	w.Unlock(t, "eu2", late.ID, nil)
	if s := w.turn(t, next, 0); !heldBy(s, incident.Rule, hurt) {
		t.Errorf("the start: in phase %s, %v", s.Phase, s.Holds)
	}
	urgent := w.open(t, "urgent", proceduretest.Emergency, proceduretest.Waves([]string{"eu2"}))
	if s := w.turn(t, urgent, 0); s.Phase != procedure.PhaseExecuting || !slices.Contains(s.Bypassed, incident.Around(hurt.ID)) {
		t.Errorf("an emergency: in phase %s, %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
	w.Unlock(t, "eu2", urgent.ID, nil)
	hurt.Do(t, "", proceduretest.Verified(hurt.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := w.turn(t, hurt, 0); s.Phase != procedure.PhaseExecuting {
		t.Errorf("its own next wave: in phase %s, %v", s.Phase, s.Holds)
	}
	hurt.Do(t, "eve", &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, Comment: "on it"}}})
	next.Resume(t)
	if s := w.turn(t, next, 0); s.Phase != procedure.PhaseExecuting {
		t.Errorf("when it was taken on: in phase %s, %v", s.Phase, s.Holds)
	}
}

// TestANextWaveThatAnIncidentHoldsForLongIsPeoples: half of it is in production.
func TestANextWaveThatAnIncidentHoldsForLongIsPeoples(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	w.Digest = w.Keep(t, sitetest.Document(neighboring+"incidents: {scopes: [SCOPE_DEPENDENCY]}\n"))
	shop := w.open(t, "shop", proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	w.turn(t, shop, 0)
	w.turn(t, shop, 0)
	bills := w.open(t, "bills", billing)
	bills.Do(t, "", proceduretest.Claim(bills.State(t), "executor-2", time.Now()))
	bills.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Invoices are wrong."}}})
	shop.Do(t, "", proceduretest.Verified(shop.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := w.turn(t, shop, 0); !heldBy(s, incident.Rule, bills) || s.Wave != 1 {
		t.Fatalf("in phase %s: %v", s.Phase, s.Holds)
	}
	state := shop.State(t)
	state.Phase, state.Holds = procedure.PhaseExecute, nil
	task := shop.Task(t, 1)
	task.State, task.Now = state, state.HeldSince.Add(state.Requested.GetTimeouts().GetDecision().AsDuration()+time.Minute)
	drafts, err := execute.New(w.executor.Site, time.Now).Act(t.Context(), task)
	if err != nil || len(drafts[0].Event.GetExecutionRefused().GetFindings()) != 1 {
		t.Errorf("%v, %v", drafts, err)
	}
}
