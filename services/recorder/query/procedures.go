package query

import (
	"context"

	"google.golang.org/protobuf/proto"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// ListProcedureChanges returns the history of procedure documents, newest first.
func (s *Server) ListProcedureChanges(ctx context.Context, q *recorderv1.ListProcedureChangesRequest) (*recorderv1.ListProcedureChangesResponse, error) {
	question, err := questionOf("procedures "+q.GetProcedure(), nil)
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
	found, asOf, err := s.reader.ProcedureChanges(ctx, q.GetProcedure(), before, limit+1)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out := &recorderv1.ListProcedureChangesResponse{AsOfSequence: asOf}
	size := 0
	for i, f := range found {
		event := f.Proto()
		size += proto.Size(event)
		if i == limit || i > 0 && size > maxPageBytes {
			out.NextPageToken = token{Question: question, Sequence: found[i-1].Entry.Sequence}.encode()
			break
		}
		out.Changes = append(out.Changes, event)
	}
	return out, nil
}
