package authorize

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// CloseIncident implements approvalv1.ApprovalServiceServer (PD-7.2). Whoever may take the calls on
// may end what they were for. What people are called for while it is stored is not ended with it:
// whoever closes an incident has to have seen it.
func (s *Server) CloseIncident(ctx context.Context, r *approvalv1.CloseIncidentRequest) (*approvalv1.CloseIncidentResponse, error) {
	var seen []releasev1.Cause
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		open := procedure.Unclosed(d.state)
		if err := d.calledForOne(open); err != nil {
			return nil, err
		}
		if seen != nil && len(open) > 0 && !slices.Equal(open, seen) {
			return nil, errOtherIncident
		}
		seen = open
		return procedure.DecideIncidentClosed(d.state, r.GetReason()), nil
	})
	if err != nil {
		return nil, err
	}
	return &approvalv1.CloseIncidentResponse{Causes: seen}, nil
}

// calledForOne refuses people who may take none of these calls on. Where there is none, nobody can
// close anything, whoever they are.
func (d desk) calledForOne(causes []releasev1.Cause) (err error) {
	for _, cause := range causes {
		if err = d.called(cause); err == nil {
			return nil
		}
	}
	return err
}
