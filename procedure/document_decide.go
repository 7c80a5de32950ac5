package procedure

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The decisions about procedure documents (PD-9.4). Each takes what is known, and
// returns the event that happens, or why it may not. EvolveDocument judges the event
// again when it is folded.

// DecideProposed offers a document. Of the proposal everything must be given but number,
// base, proposer and time.
func DecideProposed(d Document, actor *releasev1.Actor, p *releasev1.ProcedureProposal, now time.Time) (*releasev1.Event, error) {
	p = proto.CloneOf(p)
	p.Number, p.BaseDigest = d.Standing.GetProposed()+1, d.Standing.GetDigest()
	p.Proposer, p.Proposed = actor.GetId(), timestamppb.New(now)
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureProposed{
		ProcedureProposed: &releasev1.ProcedureProposed{Proposal: p},
	}})
}

// DecideProposalApproved takes an approval that counts for valid, and no longer than the
// proposal.
func DecideProposalApproved(d Document, actor *releasev1.Actor, number uint32, digest, comment string, valid time.Duration, now time.Time) (*releasev1.Event, error) {
	p := d.Proposal(number)
	expires := now.Add(valid)
	if end := p.GetExpires().AsTime(); end.Before(expires) {
		expires = end
	}
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureApproved{
		ProcedureApproved: &releasev1.ProcedureApproved{
			Proposal: number, Digest: digest, Comment: comment,
			Approval: &releasev1.ProcedureApproval{
				Person: actor.GetId(), Given: timestamppb.New(now), Expires: timestamppb.New(expires),
				OwnRights: slices.Contains(p.GetWidened(), actor.GetId()),
			},
		},
	}})
}

// DecideProposalRejected ends a proposal by somebody who might have approved it.
func DecideProposalRejected(d Document, actor *releasev1.Actor, number uint32, reason string, now time.Time) (*releasev1.Event, error) {
	return closed(d, actor, number, releasev1.ProcedureProposalClosed_RESULT_REJECTED, reason, now)
}

// DecideProposalWithdrawn takes back the actor's own proposal, or else the actor's
// approval of it.
func DecideProposalWithdrawn(d Document, actor *releasev1.Actor, number uint32, reason string, now time.Time) (*releasev1.Event, error) {
	p := d.Proposal(number)
	if actor.GetId() != p.GetProposer() && slices.ContainsFunc(p.GetApprovals(), by(actor.GetId())) {
		return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureApprovalWithdrawn{
			ProcedureApprovalWithdrawn: &releasev1.ProcedureApprovalWithdrawn{Proposal: number, Reason: reason},
		}})
	}
	return closed(d, actor, number, releasev1.ProcedureProposalClosed_RESULT_WITHDRAWN, reason, now)
}

func closed(d Document, actor *releasev1.Actor, number uint32, result releasev1.ProcedureProposalClosed_Result, reason string, now time.Time) (*releasev1.Event, error) {
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureProposalClosed{
		ProcedureProposalClosed: &releasev1.ProcedureProposalClosed{Proposal: number, Result: result, Reason: reason},
	}})
}

// DecideProposalActivated puts a document into effect that enough people approved.
func DecideProposalActivated(d Document, actor *releasev1.Actor, number uint32, digest string, now time.Time) (*releasev1.Event, error) {
	p := d.Proposal(number)
	counted, _ := CountProposal(p, now)
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{
			Version: p.GetVersion(), Digest: digest, PreviousDigest: d.Standing.GetDigest(), Proposal: number,
			Reason: p.GetReason(), Approvals: counted, Voided: voided(d.Standing, number), AssessmentDigest: p.GetAssessmentDigest(),
		},
	}})
}

// DecideActivatedByAdministrator puts a document into effect without anybody's approval:
// the first one, or another one where the right way is closed. Of the activation
// version, digest and reason must be given, and what else is known. Where it goes around the
// change control a review of it is owed from then on: of its debt must be given what owing says.
func DecideActivatedByAdministrator(d Document, service string, a *releasev1.ProcedureActivated, now time.Time) (*releasev1.Event, error) {
	a = proto.CloneOf(a)
	a.PreviousDigest, a.Voided = d.Standing.GetDigest(), voided(d.Standing, 0)
	a.Administrative = releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE
	if d.Standing.GetDigest() == "" {
		a.Administrative = releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST
	}
	a.Debt = owing(d, a, now)
	actor := &releasev1.Actor{Id: service, Kind: releasev1.Actor_KIND_SERVICE, Method: "admin"}
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: a}})
}

// carry completes an event with its actor, the document under which it was decided, and
// the standing that it leads to.
func carry(d Document, actor *releasev1.Actor, now time.Time, e *releasev1.Event) (*releasev1.Event, error) {
	e.Actor, e.ProcedureDigest = actor, d.Standing.GetDigest()
	after, err := lead(d.Standing, e, now)
	if err != nil {
		return nil, err
	}
	switch data := e.GetData().(type) {
	case *releasev1.Event_ProcedureProposed:
		data.ProcedureProposed.Standing = after
	case *releasev1.Event_ProcedureApproved:
		data.ProcedureApproved.Standing = after
	case *releasev1.Event_ProcedureApprovalWithdrawn:
		data.ProcedureApprovalWithdrawn.Standing = after
	case *releasev1.Event_ProcedureProposalClosed:
		data.ProcedureProposalClosed.Standing = after
	case *releasev1.Event_ProcedureReviewed:
		data.ProcedureReviewed.Standing = after
	case *releasev1.Event_ProcedureActivated:
		data.ProcedureActivated.Standing = after
		if e.GetProcedureDigest() == "" {
			e.ProcedureDigest = data.ProcedureActivated.GetDigest() // The first one stands for itself.
		}
	}
	return e, nil
}
