package view_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// recorded are the entries of a history as they are on record.
func recorded(h *proceduretest.History) []view.Recorded {
	var all []view.Recorded
	for _, e := range h.Entries {
		all = append(all, view.Recorded{Entry: e})
	}
	return all
}

// TestAnIncidentIsOpenUntilSomebodyTookItOnAndTheReleaseIsOver goes through the
// prefixes of one release that is rolled back.
func TestAnIncidentIsOpenUntilSomebodyTookItOnAndTheReleaseIsOver(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	if i := view.IncidentOf(h.Release, recorded(h)); i != nil {
		t.Errorf("before anything happened: %v", i)
	}
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	if i := view.IncidentOf(h.Release, recorded(h)); i.GetClosing() != nil || i.GetIncident() != "" || i.GetOpenedByEvent() != h.Last {
		t.Errorf("when it failed: %v", i)
	}
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_VALIDATION_FAILED))
	if i := view.IncidentOf(h.Release, recorded(h)); i.GetClosing() != nil || i.GetEscalations()[0].GetTakenOnBy() != "eve" {
		t.Errorf("when it was taken on: %v", i)
	}
	h.To(t, procedure.PhaseClosed)
	c := view.IncidentOf(h.Release, recorded(h)).GetClosing()
	if c.GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK || c.GetBy() != "eve" || c.GetDecision() != "acknowledged" || c.GetReason() != "mine" {
		t.Errorf("at the end: %v", c)
	}
}

// TestAnOverdueReviewOpensAnIncidentAgain has the review itself take that on.
func TestAnOverdueReviewOpensAnIncidentAgain(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseFollowUp)
	for len(h.State().OpenEscalations()) > 0 || len(h.State().Wanted) > 0 {
		person, e := h.Good()
		h.Do(t, person, e)
	}
	if i := view.IncidentOf(h.Release, recorded(h)); i.GetClosing() == nil || i.GetAnswers() != "INC-77" {
		t.Fatalf("before the review is overdue: %v", i)
	}
	for !h.State().ReviewOverdue {
		d, _ := procedure.NextDeadline(h.State())
		h.Advance(d.At.Sub(h.Now))
		h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
	}
	if i := view.IncidentOf(h.Release, recorded(h)); i.GetClosing() != nil || len(i.GetEscalations()) != 2 {
		t.Errorf("when it is overdue: %v", i)
	}
	h.Do(t, "cleo", proceduretest.Review())
	i := view.IncidentOf(h.Release, recorded(h))
	if c := i.GetClosing(); c.GetBy() != "cleo" || c.GetDecision() != "review_completed" || i.GetEscalations()[1].GetTakenOnHow() != "review_completed" {
		t.Errorf("when it is done: %v", i)
	}
}

// TestTheImpactOfAnIncidentIsWhatPeopleSaw, each with who saw it and whom it hits.
func TestTheImpactOfAnIncidentIsWhatPeopleSaw(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	for _, person := range []string{"finn", "ada"} {
		h.Do(t, person, proceduretest.Impact())
	}
	said := proceduretest.Impact().GetImpactReported()
	got := view.IncidentOf(h.Release, recorded(h)).GetImpact().GetReported()
	if len(got) != 2 || got[0].GetBy() != "finn" || got[1].GetBy() != "ada" || got[1].GetSequence() != h.Last || got[1].GetTime() == nil ||
		got[0].GetDescription() != said.GetDescription() || !slices.Equal(got[0].GetCustomers(), said.GetCustomers()) || len(said.GetCustomers()) == 0 {
		t.Errorf("%v", got)
	}
}
