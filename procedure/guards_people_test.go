package procedure_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// peopleGuards are the guards of what only people do, and of what counts their words.
var peopleGuards = []guard{
	{name: "approval by nobody", phase: procedure.PhaseApprove, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Actor = &releasev1.Actor{Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"release-managers"}}
	}},
	{name: "approval taken back by a machine of that name", phase: procedure.PhaseApprove, prepare: approved, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.WithdrawApproval().GetData(), proceduretest.Service("anna")
	}},
	{name: "withdrawal by a machine of the owner's name", phase: procedure.PhaseApprove, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Withdraw().GetData(), proceduretest.Service("otto")
	}},
	{name: "abort by a machine", phase: procedure.PhaseVerify, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Abort().GetData(), proceduretest.Service("approval")
	}},
	{name: "abort before anything was executed", phase: procedure.PhaseExecute, want: "withdraw it instead", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Abort().GetData(), proceduretest.Person("dan")
	}},
	{name: "exception of a freeze by a machine", phase: procedure.PhaseApprove, want: "only a person", spoil: overrides("approval", nil)},
	{name: "exception of a freeze for one's own change", phase: procedure.PhaseApprove, want: "own change", spoil: overrides("otto", nil)},
	{name: "exception of no freeze", phase: procedure.PhaseApprove, want: "does not name the freeze", spoil: overrides("dan", func(d *releasev1.FreezeOverridden) { d.Freeze = "" })},
	{name: "exception of whatever a freeze becomes", phase: procedure.PhaseApprove, want: "does not name the freeze", spoil: overrides("dan", func(d *releasev1.FreezeOverridden) { d.FreezeDigest = "" })},
	{name: "exception without a reason", phase: procedure.PhaseApprove, want: "its reason", spoil: overrides("dan", func(d *releasev1.FreezeOverridden) { d.Reason = " " })},
	{name: "exception without a ticket", phase: procedure.PhaseApprove, want: "its ticket", spoil: overrides("dan", func(d *releasev1.FreezeOverridden) { d.Ticket = "" })},
	{name: "exception made twice", phase: procedure.PhaseApprove, want: "already", spoil: overrides("dan", nil), prepare: func(t *testing.T, h *proceduretest.History) {
		h.Do(t, "dan", proceduretest.Override("freeze-1"))
	}},
	{name: "one exception more than there can be", phase: procedure.PhaseApprove, want: "too many", spoil: overrides("dan", nil), prepare: func(t *testing.T, h *proceduretest.History) {
		for i := range procedure.MaxOverrides {
			h.Do(t, "dan", proceduretest.Override(fmt.Sprintf("other-%d", i)))
		}
	}},
	{name: "exception for a release that is over", phase: procedure.PhaseRecord, want: "does not belong here", spoil: overrides("dan", nil)},
	{name: "escalation taken on by a machine", phase: procedure.PhaseEscalated, want: "only a person", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Acknowledge(h.State().OpenEscalations()[0]).GetData(), proceduretest.Service("approval")
	}},
	{name: "escalation taken on twice", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "no open escalation", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Acknowledge(releasev1.Cause_CAUSE_EMERGENCY_BYPASS).GetData(), proceduretest.Person("dan")
	}},
	{name: "call of the next rung before it is due", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: called, want: "next rung is not due", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
			Cause: releasev1.Cause_CAUSE_EMERGENCY_BYPASS, Rung: 2, To: []string{"directors"}, AcknowledgeBy: timestamppb.New(h.Now.Add(time.Hour)),
		}}, nil
	}},
	{name: "call that nobody has to take on in time", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: told, want: "deadline", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetEscalated().AcknowledgeBy = nil
	}},
	{name: "review by a machine", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Actor = proceduretest.Service("cleo")
	}},
	{name: "review without a result", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "states its result", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetReviewCompleted().Result = 0
	}},
	{name: "review that nobody owes", phase: procedure.PhaseFollowUp, want: "no review is owed", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Review().GetData(), proceduretest.Person("cleo")
	}},

	{name: "authorization that counts an approval that has expired", phase: procedure.PhaseApprove, want: "not given", prepare: func(t *testing.T, h *proceduretest.History) {
		h.Do(t, "dan", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
		h.Do(t, "anna", proceduretest.Approval(h.State(), h.Now.Add(2*time.Hour)))
		h.Do(t, "ben", proceduretest.Approval(h.State(), h.Now.Add(2*time.Hour)))
		h.Advance(time.Hour) // to the nanosecond at which Dan's ends
	}, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		counted(e, "release-managers").Person = "dan"
	}},
	{name: "authorization that counts people for groups that they are not in", phase: procedure.PhaseApprove, prepare: approved, want: "not given", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		anna, ben := counted(e, "release-managers"), counted(e, "security")
		anna.Group, ben.Group = ben.GetGroup(), anna.GetGroup()
	}},
	{name: "authorization that counts one person for two groups", phase: procedure.PhaseApprove, want: "not given", prepare: func(t *testing.T, h *proceduretest.History) {
		h.Do(t, "cleo", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
		approved(t, h)
	}, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		for _, c := range e.GetAuthorized().GetApprovals() {
			c.Person = "cleo"
		}
	}},
	{name: "authorization that counts more people than are needed", phase: procedure.PhaseApprove, want: "not given", prepare: func(t *testing.T, h *proceduretest.History) {
		h.Do(t, "dan", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
		h.Do(t, "anna", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
		approved(t, h)
	}, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		other := map[string]string{"dan": "anna", "anna": "dan"}[counted(e, "release-managers").GetPerson()]
		d := e.GetAuthorized()
		d.Approvals = append(d.Approvals, &releasev1.CountedApproval{Person: other, Group: "release-managers"})
	}},
	{name: "authorization without an end", phase: procedure.PhaseApprove, prepare: approved, want: "valid no longer", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().ValidUntil = nil
	}},
	{name: "emergency whose review is overdue at once", request: proceduretest.Emergency, phase: procedure.PhaseApprove, prepare: approved, want: "owes a review", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().ReviewDue = timestamppb.New(h.Now)
	}},
	{name: "quorum of a group without a name", phase: procedure.PhaseRisk, want: "asks for nobody", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().GetQuorum()[0].Group = ""
	}},
	{name: "quorum in which a group has no say", phase: procedure.PhaseRisk, want: "asks for nobody", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().GetQuorum()[0].Count = 0
	}},
	{name: "quorum of a hundred and one", phase: procedure.PhaseRisk, want: "more people than there are", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().GetQuorum()[0].Count = 100
	}},
}

// counted is the approval that the authorization counts for the group.
func counted(e *releasev1.Event, group string) *releasev1.CountedApproval {
	for _, c := range e.GetAuthorized().GetApprovals() {
		if c.GetGroup() == group {
			return c
		}
	}
	return nil
}

// called goes on until the first rung was called, and has not answered.
func called(t *testing.T, h *proceduretest.History) {
	told(t, h)
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
}

// overrides puts an exception of a freeze in the place of the next event, by a person or
// by a service.
func overrides(by string, change func(*releasev1.FreezeOverridden)) func(*proceduretest.History, *releasev1.Event) {
	return func(_ *proceduretest.History, e *releasev1.Event) {
		exception := proceduretest.Override("freeze-1")
		if change != nil {
			change(exception.GetFreezeOverridden())
		}
		e.Data, e.Writer, e.Actor = exception.GetData(), procedure.ServiceApproval, proceduretest.Person(by)
		if by == procedure.ServiceApproval {
			e.Actor = proceduretest.Service(by)
		}
	}
}
