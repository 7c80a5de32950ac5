package query

import (
	"fmt"

	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/internal/evidence"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// piece is how much evidence one message holds, in bytes.
const piece = 256 << 10

// GetEvidence sends stored evidence, piece by piece: what an approver reads in full
// before deciding (D-1.6), and what an auditor compares with the record.
func (s *Server) GetEvidence(q *recorderv1.GetEvidenceRequest, out grpc.ServerStreamingServer[recorderv1.GetEvidenceResponse]) error {
	ctx := out.Context()
	if s.evidence == nil {
		return toStatus(ctx, fmt.Errorf("evidence %s: %w", q.GetDigest(), evidence.ErrNotFound))
	}
	content, err := s.evidence.Get(ctx, q.GetDigest())
	if err != nil {
		return toStatus(ctx, err)
	}
	for {
		n := min(len(content), piece)
		if err := out.Send(&recorderv1.GetEvidenceResponse{Content: content[:n]}); err != nil {
			return toStatus(ctx, err)
		}
		if content = content[n:]; len(content) == 0 {
			return nil
		}
	}
}
