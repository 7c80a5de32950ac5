package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// inQuarantine is an artifact that two releases put there, and that olu asks for.
func inQuarantine(digit string, sequence uint64) *recorderv1.QuarantinedArtifact {
	at := timestamppb.New(time.Date(2026, 11, 2, 10, 15, 0, 0, time.UTC))
	reason := func(release, why string) *releasev1.QuarantineReason {
		return &releasev1.QuarantineReason{
			Release: release, Service: "shop", Environment: "production", Version: "1.4.2", Requester: "ci-shop", Owner: "olu",
			Cause: releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, Reason: why, Time: at,
		}
	}
	return &recorderv1.QuarantinedArtifact{
		Held: true, Sequence: sequence, Time: at,
		State: &releasev1.Quarantine{
			Digest: "sha256:" + strings.Repeat(digit, 64), Reasons: []*releasev1.QuarantineReason{reason("shop-a", "orders\x1b[0m are lost"), reason("shop-b", "too slow")},
			Clearance: &releasev1.Clearance{ProposedBy: "olu", Reason: "the probe was wrong"},
		},
	}
}

// ListQuarantines gives two pages, or the one artifact that is asked for.
func (s *services) ListQuarantines(_ context.Context, r *recorderv1.ListQuarantinesRequest) (*recorderv1.ListQuarantinesResponse, error) {
	first, second := inQuarantine("a", 12), inQuarantine("b", 11)
	second.State.Clearance = nil
	switch {
	case r.GetDigest() == first.GetState().GetDigest():
		return &recorderv1.ListQuarantinesResponse{Artifacts: []*recorderv1.QuarantinedArtifact{first}, AsOfSequence: 41}, nil
	case r.GetDigest() != "":
		return &recorderv1.ListQuarantinesResponse{AsOfSequence: 41}, nil
	case r.GetPageToken() == "":
		return &recorderv1.ListQuarantinesResponse{Artifacts: []*recorderv1.QuarantinedArtifact{first}, NextPageToken: "2", AsOfSequence: 41}, nil
	case r.GetAll():
		second.Held, second.State.Clearance = false, &releasev1.Clearance{ProposedBy: "olu", ConfirmedBy: "mia"}
	}
	return &recorderv1.ListQuarantinesResponse{Artifacts: []*recorderv1.QuarantinedArtifact{second}, AsOfSequence: 41}, nil
}

func (s *services) ProposeClearance(ctx context.Context, r *approvalv1.ProposeClearanceRequest) (*approvalv1.ProposeClearanceResponse, error) {
	s.note(ctx, "propose", r.GetDigest()[:9], r.GetReason())
	return &approvalv1.ProposeClearanceResponse{}, nil
}

func (s *services) ConfirmClearance(ctx context.Context, r *approvalv1.ConfirmClearanceRequest) (*approvalv1.ConfirmClearanceResponse, error) {
	if r.GetComment() == "mine" {
		return nil, status.Error(codes.PermissionDenied, "whoever asks for it does not agree to it")
	}
	s.note(ctx, "confirm", r.GetDigest()[:9], fmt.Sprint(r.GetSequence()), r.GetComment())
	return &approvalv1.ConfirmClearanceResponse{}, nil
}
