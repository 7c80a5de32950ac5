package authorize

import (
	"cmp"
	"context"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// AcknowledgeNotice implements approvalv1.ApprovalServiceServer: whom a notice was meant
// for, by the event that says so, may say that they know of it (N-15).
func (s *Server) AcknowledgeNotice(ctx context.Context, r *approvalv1.AcknowledgeNoticeRequest) (*approvalv1.AcknowledgeNoticeResponse, error) {
	occasion := cmp.Or(r.GetOccasion(), releasev1.Occasion_OCCASION_START)
	after, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		n := newestOf(d.state, occasion)
		if err := procedure.MayAcknowledge(d.state, n, d.person.GetId()); err != nil {
			return nil, err
		}
		return procedure.DecideNoticeAcknowledged(n, r.GetComment()), nil
	})
	if err != nil {
		return nil, err
	}
	return &approvalv1.AcknowledgeNoticeResponse{Missing: procedure.Unacknowledged(after)}, nil
}

// newestOf is the newest notice of an occasion.
func newestOf(s procedure.State, occasion releasev1.Occasion) procedure.Notice {
	for _, t := range slices.Backward(s.Told) {
		if t.Occasion == occasion {
			return t.Notice
		}
	}
	return procedure.Notice{Occasion: occasion}
}
