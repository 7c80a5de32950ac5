package command

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/refusal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// procedures serves a canned procedure document: proposal 7 may be approved, 8 is the
// caller's own, and there is no other.
type procedures struct {
	approvalv1.UnimplementedProcedureServiceServer
	services *services
}

var documentDigest = "sha256:" + strings.Repeat("e", 64)

func canned(number uint32) *releasev1.ProcedureProposal {
	digest := documentDigest
	if number == 8 {
		digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(comparedDocument)))
	}
	return &releasev1.ProcedureProposal{
		Number: number, Version: "1.1", Digest: digest, BaseDigest: changeDigest, Proposer: "olu", Reason: "a third data center\x1b[2J",
		Proposed: at(1), Expires: at(59), Quorum: &releasev1.QuorumRule{Group: "board", Count: 2}, Widened: []string{"mia", "olu"},
		Approvals: []*releasev1.ProcedureApproval{{Person: "mia", Given: at(2), Expires: at(58), OwnRights: true}},
	}
}

func cannedAssessment() *approvalv1.Assessment {
	return &approvalv1.Assessment{
		BaseDigest: changeDigest, Digest: documentDigest, Diff: "--- in effect\n+++ proposed\n-version: \"1.0\"\n+version: \"1.1\"\u202e\n",
		Widened:  []*approvalv1.Widening{{Person: "mia", Rights: []string{"own releases of shop"}}, {Person: "olu", Rights: []string{"be a member of board"}}},
		Loosened: []string{"the gate tests is gone"},
	}
}

// cannedComparison is what the approval service found when proposal 8 was made.
func cannedComparison() *approvalv1.Comparison {
	return &approvalv1.Comparison{
		Total: &releasev1.ProcedureComparison{Last: 50, Releases: 50, Changed: 33, Unknown: 1, Digest: documentDigest},
		Steps: []*approvalv1.StepChange{{Step: "3", Releases: 33}, {Step: "A", Releases: 4}},
		Differences: []*approvalv1.Difference{{Release: "shop-k7q2", Answers: []*approvalv1.ChangedAnswer{
			{Step: "3", Sequence: 17, Event: "risk_cleared", Before: "approvals: 2 of qa", After: "approvals: 3 of qa\x1b[2J"},
		}}},
		Unknown: []*approvalv1.Incomparable{{Release: "shop-old", Reason: "what it was judged by is not there any more"}}, Cut: true, Sequence: 40,
	}
}

// comparedDocument is the document of proposal 8; under the digest of the others the archive
// has something else.
const comparedDocument = "id: PROC-DEPLOY-001\n"

func (s *services) GetEvidence(r *recorderv1.GetEvidenceRequest, stream grpc.ServerStreamingServer[recorderv1.GetEvidenceResponse]) error {
	return stream.Send(&recorderv1.GetEvidenceResponse{Content: []byte(comparedDocument)})
}

func none(number uint32) error {
	if number == 7 || number == 8 {
		return nil
	}
	return refuse(codes.NotFound, "NO_PROPOSAL", fmt.Sprintf("there is no such open proposal: %d", number))
}

func (p procedures) GetProcedure(context.Context, *approvalv1.GetProcedureRequest) (*approvalv1.GetProcedureResponse, error) {
	return &approvalv1.GetProcedureResponse{Procedure: "PROC-DEPLOY-001", Standing: &releasev1.ProcedureStanding{
		Version: "1.0", Digest: changeDigest, Proposed: 8, Proposals: []*releasev1.ProcedureProposal{canned(7), canned(8)},
		Forced: 3, Debts: []*releasev1.ProcedureDebt{cannedDebt()},
	}}, nil
}

// cannedDebt is the review that is owed of a document which took effect by force.
func cannedDebt() *releasev1.ProcedureDebt {
	return &releasev1.ProcedureDebt{
		Number: 3, Version: "1.0", Digest: changeDigest, ClaimedBy: "dave\x1b[2J", Activated: at(1), Due: at(30), BlocksFrom: at(50),
		JudgedBy: documentDigest, Group: "security", AssessmentDigest: documentDigest,
	}
}

func (p procedures) ReviewDocument(ctx context.Context, r *approvalv1.ReviewDocumentRequest) (*approvalv1.ReviewDocumentResponse, error) {
	if r.GetNumber() != 3 {
		return nil, refuse(codes.NotFound, "NO_REVIEW_OWED", fmt.Sprintf("no review of a document is owed under that number: %d", r.GetNumber()))
	}
	p.services.note(ctx, "procedure review", fmt.Sprint(r.GetNumber()), r.GetDigest(), r.GetResult().String(), r.GetReason())
	return &approvalv1.ReviewDocumentResponse{}, nil
}

func (p procedures) GetProposal(_ context.Context, r *approvalv1.GetProposalRequest) (*approvalv1.GetProposalResponse, error) {
	if err := none(r.GetNumber()); err != nil {
		return nil, err
	}
	out := &approvalv1.GetProposalResponse{Proposal: canned(r.GetNumber()), Assessment: cannedAssessment(), Missing: 1, MayApprove: r.GetNumber() == 7}
	if !out.GetMayApprove() {
		out.Assessment.Comparison = cannedComparison()
		out.MayNotReason = "nobody approves their own proposal"
	}
	return out, nil
}

func (p procedures) Propose(ctx context.Context, r *approvalv1.ProposeRequest) (*approvalv1.ProposeResponse, error) {
	if _, err := policy.Parse(r.GetDocument(), r.GetFilename()); err != nil {
		return nil, refusal.InvalidFields(domain, "DOCUMENT_INVALID", refusal.Field{Path: "document", Message: "p.yaml:1:1 id: value is required"})
	}
	p.services.note(ctx, "propose", r.GetReason(), r.GetBaseDigest(), fmt.Sprint(r.GetDryRun()))
	out := &approvalv1.ProposeResponse{Proposal: canned(7), Assessment: cannedAssessment(), Warnings: []string{"channel chat: no address\x1b[0m"}}
	return out, nil
}

func (p procedures) ApproveProposal(ctx context.Context, r *approvalv1.ApproveProposalRequest) (*approvalv1.ApproveProposalResponse, error) {
	p.services.note(ctx, "procedure approve", fmt.Sprint(r.GetNumber()), r.GetDigest(), r.GetComment())
	return &approvalv1.ApproveProposalResponse{}, nil
}

func (p procedures) RejectProposal(ctx context.Context, r *approvalv1.RejectProposalRequest) (*approvalv1.RejectProposalResponse, error) {
	p.services.note(ctx, "procedure reject", fmt.Sprint(r.GetNumber()), r.GetReason())
	return &approvalv1.RejectProposalResponse{}, none(r.GetNumber())
}

func (p procedures) WithdrawProposal(ctx context.Context, r *approvalv1.WithdrawProposalRequest) (*approvalv1.WithdrawProposalResponse, error) {
	p.services.note(ctx, "procedure withdraw", fmt.Sprint(r.GetNumber()), r.GetReason())
	return &approvalv1.WithdrawProposalResponse{Closed: r.GetNumber() == 8}, none(r.GetNumber())
}

func (p procedures) ActivateProposal(ctx context.Context, r *approvalv1.ActivateProposalRequest) (*approvalv1.ActivateProposalResponse, error) {
	p.services.note(ctx, "procedure activate", fmt.Sprint(r.GetNumber()), r.GetDigest())
	return &approvalv1.ActivateProposalResponse{Version: "1.1", Digest: r.GetDigest(), Voided: []uint32{8}}, none(r.GetNumber())
}

func (s *services) ListProcedureChanges(_ context.Context, r *recorderv1.ListProcedureChangesRequest) (*recorderv1.ListProcedureChangesResponse, error) {
	person := func(id string) *releasev1.Actor { return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN} }
	change := func(minute int, rejected string, e *releasev1.Event) *recorderv1.RecordedEvent {
		return &recorderv1.RecordedEvent{Sequence: uint64(minute), Stored: at(minute), SignedBy: "approval-1", Event: e, Rejected: rejected} //nolint:gosec // A few.
	}
	all := []*recorderv1.RecordedEvent{
		change(9, "event carries another standing than it leads to", &releasev1.Event{Actor: person("olu"), Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{
			Version: "1.1", Digest: documentDigest, Proposal: 7, Reason: "a third data center", Approvals: canned(7).GetApprovals(),
		}}}),
		change(8, "", &releasev1.Event{Actor: person("eve"), Data: &releasev1.Event_ProcedureReviewed{ProcedureReviewed: &releasev1.ProcedureReviewed{
			Number: 2, Digest: documentDigest, Result: releasev1.ProcedureReviewed_RESULT_NOT_JUSTIFIED, Reason: "nothing burned", NoneLeft: true,
		}}}),
		change(8, "", &releasev1.Event{Actor: &releasev1.Actor{Id: "approval"}, Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{
			Version: "0.9", Digest: documentDigest, Reason: "it burns", ClaimedBy: "dave", Administrative: releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE, Debt: cannedDebt(),
		}}}),
		change(8, "", &releasev1.Event{Actor: person("ben"), Data: &releasev1.Event_ProcedureProposalClosed{ProcedureProposalClosed: &releasev1.ProcedureProposalClosed{
			Proposal: 6, Result: releasev1.ProcedureProposalClosed_RESULT_REJECTED, Reason: "not now",
		}}}),
		change(7, "", &releasev1.Event{Actor: person("mia"), Data: &releasev1.Event_ProcedureApproved{ProcedureApproved: &releasev1.ProcedureApproved{
			Proposal: 7, Digest: documentDigest, Approval: canned(7).GetApprovals()[0], Comment: "as agreed",
		}}}),
		change(6, "", &releasev1.Event{Actor: person("olu"), Data: &releasev1.Event_ProcedureProposed{ProcedureProposed: &releasev1.ProcedureProposed{Proposal: canned(7)}}}),
		change(1, "", &releasev1.Event{Actor: &releasev1.Actor{Id: "approval"}, Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{
			Version: "1.0", Digest: changeDigest, Reason: "go-live", ClaimedBy: "root", Administrative: releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST,
		}}}),
	}
	if r.GetPageToken() != "" {
		return &recorderv1.ListProcedureChangesResponse{Changes: all[5:], AsOfSequence: 40}, nil
	}
	return &recorderv1.ListProcedureChangesResponse{Changes: all[:5], NextPageToken: "2", AsOfSequence: 40}, nil
}
