package command

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func outlook(standing approvalv1.OutlookStep_Standing) *approvalv1.Outlook {
	until := timestamppb.New(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))
	return &approvalv1.Outlook{
		Steps: []*approvalv1.OutlookStep{
			{Number: "1", Name: "gates", Standing: standing},
			{Number: "A", Name: "authorize", Standing: approvalv1.OutlookStep_STANDING_NOW, WaitsFor: []string{"1 more approval(s) by qa\x1b[2J"}, Who: []string{"mia", "olu"}, Until: until},
		},
		Holds:         []*releasev1.HoldReason{{Rule: "freeze", Subject: "audit", SetBy: "mia", Message: "the books", Until: until}},
		EarliestStart: until, ZoneData: "tzdata 2026a of the system",
	}
}

func (s *services) Explain(_ context.Context, r *approvalv1.ExplainRequest) (*approvalv1.ExplainResponse, error) {
	if err := known(r.GetRelease()); err != nil {
		return nil, err
	}
	return &approvalv1.ExplainResponse{
		Release: r.GetRelease(), Phase: "approve", Outlook: outlook(approvalv1.OutlookStep_STANDING_DONE), AsOfSequence: 40,
		Time: timestamppb.New(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)),
	}, nil
}

func (s *services) WhatIf(_ context.Context, r *approvalv1.WhatIfRequest) (*approvalv1.WhatIfResponse, error) {
	request := &releasev1.Request{}
	if err := proto.Unmarshal(r.GetRequest(), request); err != nil {
		return nil, err
	}
	answer := &approvalv1.WhatIfResponse{Release: "shop-if", ProcedureVersion: "3", Outlook: outlook(approvalv1.OutlookStep_STANDING_DONE)}
	if len(request.GetEvidence()) == 0 {
		answer.Outlook = outlook(approvalv1.OutlookStep_STANDING_REFUSED)
		answer.Violations = []*releasev1.Violation{{Field: "owner", Rule: "person.unknown", Message: "is no person"}}
	}
	return answer, nil
}

func (s *services) CompareProcedure(ctx context.Context, r *approvalv1.CompareProcedureRequest) (*approvalv1.CompareProcedureResponse, error) {
	s.note(ctx, "compare", fmt.Sprint(len(r.GetReleases())))
	return &approvalv1.CompareProcedureResponse{Differences: []*approvalv1.Difference{{Release: r.GetReleases()[0], Answers: []*approvalv1.ChangedAnswer{{
		Step: "3", Sequence: 17, Event: "risk_cleared", Before: "approvals: 2 of sre", After: "approvals: 3 of sre",
	}}}}}, nil
}
