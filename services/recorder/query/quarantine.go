package query

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// ListQuarantines returns artifacts that are in quarantine, newest change first (PD-2.3).
func (s *Server) ListQuarantines(ctx context.Context, q *recorderv1.ListQuarantinesRequest) (*recorderv1.ListQuarantinesResponse, error) {
	question, err := questionOf(fmt.Sprintf("quarantines %q %t", q.GetDigest(), q.GetAll()), nil)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	var before uint64
	if q.GetPageToken() != "" {
		t, err := decode(q.GetPageToken(), question)
		if err == nil {
			before, err = t.before()
		}
		if err != nil {
			return nil, toStatus(ctx, err)
		}
	}
	if err := s.wait(ctx, q.GetMinSequence()); err != nil {
		return nil, toStatus(ctx, err)
	}
	limit := pageSize(q.GetPageSize())
	found, asOf, err := s.reader.Quarantines(ctx, q.GetDigest(), q.GetAll(), before, limit+1)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out := &recorderv1.ListQuarantinesResponse{AsOfSequence: asOf}
	size := 0
	for i, a := range found {
		size += proto.Size(a)
		if i == limit || i > 0 && size > maxPageBytes {
			out.NextPageToken = token{Question: question, Sequence: found[i-1].GetSequence()}.encode()
			break
		}
		out.Artifacts = append(out.Artifacts, a)
	}
	return out, nil
}
