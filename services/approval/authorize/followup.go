package authorize

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// AddFollowUp implements approvalv1.ApprovalServiceServer (PD-8.1). Whoever answers
// for the release, handles it, approves it or reviews it may say what is to be done.
func (s *Server) AddFollowUp(ctx context.Context, r *approvalv1.AddFollowUpRequest) (*approvalv1.AddFollowUpResponse, error) {
	var number uint32
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.concerned(); err != nil {
			return nil, err
		}
		if err := d.followUp("follow_up", r.GetFollowUp()); err != nil {
			return nil, err
		}
		number = uint32(len(d.state.FollowUps)) + 1 //nolint:gosec // Package procedure bounds them.
		return &releasev1.Event{Data: &releasev1.Event_FollowUpAdded{
			FollowUpAdded: &releasev1.FollowUpAdded{Number: number, FollowUp: r.GetFollowUp()},
		}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &approvalv1.AddFollowUpResponse{Number: number}, nil
}

// CloseFollowUp implements approvalv1.ApprovalServiceServer (PD-8.1). Whoever has to do
// it may also say that it is done.
func (s *Server) CloseFollowUp(ctx context.Context, r *approvalv1.CloseFollowUpRequest) (*approvalv1.CloseFollowUpResponse, error) {
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		owns := slices.ContainsFunc(d.state.FollowUps, func(f procedure.FollowUp) bool {
			return f.Number == r.GetNumber() && f.What.GetOwner() == d.person.GetId()
		})
		if err := d.concerned(); err != nil && !owns {
			return nil, err
		}
		return &releasev1.Event{Data: &releasev1.Event_FollowUpClosed{
			FollowUpClosed: &releasev1.FollowUpClosed{Number: r.GetNumber(), Comment: r.GetComment()},
		}}, nil
	})
	return &approvalv1.CloseFollowUpResponse{}, err
}

// concerned refuses people who have nothing to do with a release that is over. That can wait:
// who is on call for one of the groups is none of its members.
func (d desk) concerned() error {
	if d.person.GetId() == d.state.Request.GetOwner() || d.memberOf(d.index.Document().GetEmergency().GetReviewGroup()) ||
		d.memberOf(d.index.Document().GetOperatorsGroup()) || slices.ContainsFunc(d.needed(), d.memberOf) {
		return nil
	}
	return denied("only the owner %s, operators, approvers and reviewers of the release may do this", d.state.Request.GetOwner())
}
