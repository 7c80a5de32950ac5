package authorize

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// CloseIncident implements approvalv1.ApprovalServiceServer (PD-7.2). Whoever may take the calls on
// may end what they were for. What people are called for while it is stored is not ended with it:
// whoever closes an incident has to have seen it.
func (s *Server) CloseIncident(ctx context.Context, r *approvalv1.CloseIncidentRequest) (*approvalv1.CloseIncidentResponse, error) {
	var sees sight
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.calledForOne(procedure.Unclosed(d.state)); err != nil {
			return nil, err
		}
		if err := sees.still(d.state); err != nil {
			return nil, err
		}
		return procedure.DecideIncidentClosed(d.state, r.GetReason()), nil
	})
	if err != nil {
		return nil, err
	}
	return &approvalv1.CloseIncidentResponse{Causes: sees.causes}, nil
}

// sight is the incident as somebody saw it who ends it.
type sight struct {
	seen   bool
	causes []releasev1.Cause
	// raised is when people were called for each, and told how often somebody said what they saw:
	// the same once more is something else.
	raised []time.Time
	told   uint32
}

// still keeps the incident as it is when somebody decides, and refuses what decides once more, where
// others wrote in between, about another one.
func (o *sight) still(s procedure.State) error {
	now := sight{seen: true, causes: procedure.Unclosed(s), told: s.Impacts + s.DriftsSeen}
	for _, x := range s.Escalations {
		if slices.Contains(now.causes, x.Cause) {
			now.raised = append(now.raised, x.Raised)
		}
	}
	before := *o
	*o = now
	if before.seen && len(now.causes) > 0 && (!slices.Equal(now.causes, before.causes) || !slices.EqualFunc(now.raised, before.raised, time.Time.Equal) || now.told != before.told) {
		return errOtherIncident
	}
	return nil
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
