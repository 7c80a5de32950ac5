package view_test

import (
	"slices"
	"testing"
	"time"

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

// TestAnIncidentIsOnRecordUntilAPersonClosesIt goes through the prefixes of one release that is
// rolled back; and of one of before closing was demanded, which ended when it was taken on and over.
func TestAnIncidentIsOnRecordUntilAPersonClosesIt(t *testing.T) {
	for name, demanded := range map[string]bool{"closing is demanded": true, "of before": false} {
		t.Run(name, func(t *testing.T) { onRecordUntilClosed(t, demanded) })
	}
}

func onRecordUntilClosed(t *testing.T, demanded bool) {
	h := proceduretest.New(proceduretest.Request())
	asked := proceduretest.Requested(h.Asked, h.Now)
	asked.GetRequested().ClosingDemanded = demanded
	h.Do(t, "", asked)
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
	h.To(t, procedure.PhaseFollowUp)
	want := [3]string{"eve", "acknowledged", "mine"}
	if demanded {
		if i := view.IncidentOf(h.Release, recorded(h)); i.GetClosing() != nil {
			t.Errorf("when it was over: %v", i.GetClosing())
		}
		h.Do(t, "anna", proceduretest.CloseIncident(h.State()))
		want = [3]string{"anna", "closed", "the disk was full, and is not any more"}
	}
	h.To(t, procedure.PhaseClosed)
	c := view.IncidentOf(h.Release, recorded(h)).GetClosing()
	if got := [3]string{c.GetBy(), c.GetDecision(), c.GetReason()}; c.GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK || got != want {
		t.Errorf("at the end: %v", c)
	}
}

// TestAnIncidentEndsByAPersonWithAReason whichever way it ends: nothing that a service appends
// closes one, nor that somebody has taken it on.
func TestAnIncidentEndsByAPersonWithAReason(t *testing.T) {
	for name, test := range map[string]struct {
		changes  func(*releasev1.Request)
		to       func(t *testing.T, h *proceduretest.History)
		decision string
	}{
		"closed": {func(*releasev1.Request) {}, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
		}, "closed"},
		"decided": {proceduretest.Irreversible, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
			h.To(t, procedure.PhaseEscalated)
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
		}, "accept"},
	} {
		h := proceduretest.New(proceduretest.Request(test.changes))
		test.to(t, h)
		for h.State().Phase != procedure.PhaseClosed {
			person, e := h.Good()
			if e.GetIncidentClosed() != nil {
				if i := view.IncidentOf(h.Release, recorded(h)); i == nil || i.GetClosing() != nil {
					t.Errorf("%s: before it is closed: %v", name, i.GetClosing())
				}
			}
			h.Do(t, person, e)
		}
		c := view.IncidentOf(h.Release, recorded(h)).GetClosing()
		if c.GetBy() == "" || c.GetReason() == "" || c.GetDecision() != test.decision {
			t.Errorf("%s: %v", name, c)
		}
	}
}

// TestWhoseWordWasMissingTakesTheCallOn: what people were called for then is no riddle in the
// incident, and has a reason.
func TestWhoseWordWasMissingTakesTheCallOn(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseNotify)
	h.Do(t, "", proceduretest.NotifyWaiting(h.State(), h.Now.Add(time.Hour), true, "finn"))
	h.Advance(time.Hour)
	h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
	word := proceduretest.Know()
	word.GetNoticeAcknowledged().Comment = ""
	h.Do(t, "finn", word)
	i := view.IncidentOf(h.Release, recorded(h))
	if x := i.GetEscalations(); len(x) != 1 || x[0].GetTakenOnBy() != "finn" || x[0].GetTakenOnHow() != "notice_acknowledged" || x[0].GetComment() == "" {
		t.Errorf("%v", i)
	}
	h.To(t, procedure.PhaseClosed)
	if c := view.IncidentOf(h.Release, recorded(h)).GetClosing(); c.GetBy() != "finn" || c.GetDecision() != "notice_acknowledged" || c.GetReason() == "" {
		t.Errorf("%v", c)
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
