package proceduretest

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Approval is a yes to the state's change digest that counts until then.
func Approval(s procedure.State, expires time.Time) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
		ChangeDigest: s.ChangeDigest, Comment: "seen", Expires: timestamppb.New(expires), ShownDigest: Digest('f'),
	}}}
}

// WithdrawApproval takes an approval back.
func WithdrawApproval() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ApprovalWithdrawn{ApprovalWithdrawn: &releasev1.ApprovalWithdrawn{Reason: "second thoughts"}}}
}

// Reject is a no.
func Reject() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Rejected{Rejected: &releasev1.Rejected{Reason: "not today"}}}
}

// Authorize is the authorization that the approvals amount to at that time, valid
// for a day and, in an emergency, with a review that is due in two days; nil while
// they do not suffice.
func Authorize(s procedure.State, at time.Time) *releasev1.Event {
	return procedure.DecideAuthorize(s, at, 24*time.Hour, at.Add(48*time.Hour))
}

// Withdraw takes the release back before it is executed.
func Withdraw() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "wrong version"}}}
}

// Supersede puts another release in its place.
func Supersede(by string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Superseded{Superseded: &releasev1.Superseded{ByRelease: by}}}
}

// Abort stops the release at the next safe point.
func Abort() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{Reason: "customers complain"}}}
}

// Pause keeps the release from beginning anything new.
func Pause() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Paused{Paused: &releasev1.Paused{Reason: "customers call"}}}
}

// Resume lets it go on.
func Resume() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Resumed{Resumed: &releasev1.Resumed{Reason: "it was something else"}}}
}

// Escalate calls the next rung of the first escalation that is due, to be taken on
// within a quarter of an hour; nil where none is due.
func Escalate(s procedure.State, at time.Time) *releasev1.Event {
	due := procedure.DueCalls(s)
	if len(due) == 0 {
		return nil
	}
	return &releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
		Cause: due[0].Cause, Rung: due[0].Rung + 1, To: []string{"incident-commanders"}, Incident: "INC-78", Summary: "look at it",
		AcknowledgeBy: timestamppb.New(at.Add(15 * time.Minute)),
	}}}
}

// Acknowledge takes the escalation on.
func Acknowledge(cause releasev1.Cause) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: cause, Comment: "mine"}}}
}

// CloseIncident ends the incident of a release that is over.
func CloseIncident(s procedure.State) *releasev1.Event {
	return procedure.DecideIncidentClosed(s, "the disk was full, and is not any more")
}

// Intervene decides on an escalated release.
func Intervene(action releasev1.Intervened_Action) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Intervened{Intervened: &releasev1.Intervened{Action: action, Reason: "looked at it"}}}
}

// FollowUp says what is to be done after the release.
func FollowUp(s procedure.State) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_FollowUpAdded{FollowUpAdded: &releasev1.FollowUpAdded{
		Number:   uint32(len(s.FollowUps)) + 1, //nolint:gosec // Far below 2^32.
		FollowUp: &releasev1.FollowUp{Action: "write a test for it", Owner: "ada", Due: timestamppb.New(Start.Add(120 * time.Hour))},
	}}}
}

// FollowUpDone says that it is done.
func FollowUpDone(number uint32) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_FollowUpClosed{FollowUpClosed: &releasev1.FollowUpClosed{
		Number: number, Comment: "it is in the nightly run",
	}}}
}

// Review pays the debt of an emergency.
func Review() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ReviewCompleted{ReviewCompleted: &releasev1.ReviewCompleted{
		Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED_WITH_FINDINGS, ResidualRisk: "The test that was missing is still missing.",
		FollowUps: []*releasev1.FollowUp{{Action: "write the test", Owner: "ada", Due: timestamppb.New(Start.Add(240 * time.Hour))}},
	}}}
}

// Override makes an exception of the freeze of that name.
func Override(freeze string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_FreezeOverridden{FreezeOverridden: &releasev1.FreezeOverridden{
		Freeze: freeze, FreezeDigest: Digest('f'), Reason: "customers cannot pay", Ticket: "INC-7",
	}}}
}
