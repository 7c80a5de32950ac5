package authorize

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// Explain implements approvalv1.ApprovalServiceServer (N-18).
func (s *Server) Explain(ctx context.Context, r *approvalv1.ExplainRequest) (*approvalv1.ExplainResponse, error) {
	d, err := s.look(ctx, r.GetRelease())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	normal, err := takeback.Normal(ctx, s.store, d.state.Request)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	outlook, err := whatif.Explain(d.documents(), d.state, normal, s.dry.Known(ctx, d.documents(), d.state, d.now), d.now)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	return &approvalv1.ExplainResponse{
		Release: r.GetRelease(), Phase: d.state.Phase.String(), Outlook: outlook,
		AsOfSequence: d.state.Head.Sequence, Time: timestamppb.New(d.now), Outcome: d.state.Outcome, Reason: ended(d.state),
	}, nil
}

// ended is why a release came to its end; empty while it is under way, and where it went as
// it was to go.
func ended(s procedure.State) string {
	if s.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return ""
	}
	return s.EndReason
}

// WhatIf implements approvalv1.ApprovalServiceServer (N-18). It has nothing to write with.
func (s *Server) WhatIf(ctx context.Context, r *approvalv1.WhatIfRequest) (*approvalv1.WhatIfResponse, error) {
	if _, _, err := s.known(ctx); err != nil {
		return nil, toStatus(ctx, err)
	}
	request := &releasev1.Request{}
	if err := proto.Unmarshal(r.GetRequest(), request); err != nil {
		return nil, invalidField("request", "is no shipwarden.release.v1.Request in protobuf")
	}
	active, err := standing.ReadProcedure(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out, err := s.dry.Request(ctx, active.Digest, request, s.now())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	return out, nil
}

// CompareProcedure implements approvalv1.ApprovalServiceServer (N-18).
func (s *Server) CompareProcedure(ctx context.Context, r *approvalv1.CompareProcedureRequest) (*approvalv1.CompareProcedureResponse, error) {
	if _, _, err := s.known(ctx); err != nil {
		return nil, toStatus(ctx, err)
	}
	document, err := policy.Parse(r.GetDocument(), "document")
	if err != nil {
		return nil, invalidField("document", err.Error())
	}
	other, out := policy.NewIndex(document), &approvalv1.CompareProcedureResponse{}
	for _, release := range r.GetReleases() {
		answers, err := s.dry.Compare(ctx, other, release)
		if err != nil {
			return nil, toStatus(ctx, fmt.Errorf("compare %s: %w", release, err))
		}
		if len(answers) > 0 {
			out.Differences = append(out.Differences, &approvalv1.Difference{Release: release, Answers: answers})
		}
	}
	return out, nil
}

// reading hides what writes.
type reading struct{ whatif.Store }
