package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/refusal"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// services serve canned releases. What is under test is the command, over a real
// connection.
type services struct {
	approvalv1.UnimplementedApprovalServiceServer
	recorderv1.UnimplementedRecorderServiceServer

	mu      sync.Mutex
	calls   []string // decisions, in their order
	watched map[string]int
}

// serve starts the services on a loopback port until the test ends.
func serve(t testing.TB) (*services, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &services{watched: map[string]int{}}
	server := grpc.NewServer()
	approvalv1.RegisterApprovalServiceServer(server, s)
	recorderv1.RegisterRecorderServiceServer(server, s)
	approvalv1.RegisterProcedureServiceServer(server, procedures{services: s})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return s, listener.Addr().String()
}

// note keeps a decision with who made it.
func (s *services) note(ctx context.Context, parts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	who := strings.TrimPrefix(strings.Join(md.Get("authorization"), ","), "Bearer ")
	s.calls = append(s.calls, strings.Join(append([]string{who}, parts...), " | "))
}

// oneLine is a message as JSON without its varying white space.
func oneLine(m proto.Message) string {
	var indented, out bytes.Buffer
	if err := terminal.WriteJSON(&indented, m); err != nil {
		return err.Error()
	}
	if err := json.Compact(&out, indented.Bytes()); err != nil {
		return err.Error()
	}
	return out.String()
}

// domain is that of the approval service's reasons.
const domain = "shipwarden.approval.v1"

func refuse(code codes.Code, reason, message string) error {
	return refusal.New(code, domain, reason, message)
}

// known refuses what every decision is refused for, in the words of the real service.
func known(release string) error {
	switch release {
	case "shop-unknown":
		return refuse(codes.NotFound, "RELEASE_NOT_FOUND", "there is no release shop-unknown")
	case "shop-denied":
		return refuse(codes.PermissionDenied, "OWN_CHANGE", "mia asked for this release \x1b[2J")
	case "shop-ended":
		return refuse(codes.FailedPrecondition, "OTHER_STATE", "the release has ended")
	case "shop-invalid":
		return refusal.Invalid(domain, protovalidate.Validate(&approvalv1.CompleteReviewRequest{
			Release: release, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: strings.Repeat("x", 4097),
			FollowUps: []*releasev1.FollowUp{{Action: "tell ops", Due: timestamppb.New(time.Unix(0, 0))}},
		}))
	case "shop-broken":
		return refuse(codes.Internal, refusal.ReasonInternal, "internal error")
	}
	return nil
}

func (s *services) ListPending(_ context.Context, r *approvalv1.ListPendingRequest) (*approvalv1.ListPendingResponse, error) {
	if r.GetService() == "none" {
		return &approvalv1.ListPendingResponse{}, nil
	}
	if r.GetPageToken() == "" {
		return &approvalv1.ListPendingResponse{Pending: []*approvalv1.Pending{pendingRelease()}, NextPageToken: "2"}, nil
	}
	second := pendingRelease()
	second.Release, second.MayApprove, second.MayNotReason = "shop-second", false, "you asked for it"
	return &approvalv1.ListPendingResponse{Pending: []*approvalv1.Pending{second}, SignOffs: []*approvalv1.WantedSignOff{
		{
			Release: "shop-a", Service: "shop", Environment: "production", Version: "1.4.1", Check: "ledger", Question: "Do the sums agree?\x1b[2J",
			Groups: []string{"finance"}, Until: weekly.GetUntil(), Number: 2, Wave: 1, Targets: []string{"shop-b", "shop-c"}, MaySignOff: true,
		},
		{Release: "shop-b", Check: "books", Until: weekly.GetUntil(), Number: 1, Rollback: true, Targets: []string{"shop-a"}, MayNotReason: "you asked for it"},
	}}, nil
}

func (s *services) GetPending(_ context.Context, r *approvalv1.GetPendingRequest) (*approvalv1.GetPendingResponse, error) {
	if err := known(r.GetRelease()); err != nil {
		return nil, err
	}
	p := pendingRelease()
	p.Release = r.GetRelease()
	if r.GetRelease() == "shop-mine" {
		p.MayApprove, p.MayNotReason = false, "you asked for it"
	}
	return &approvalv1.GetPendingResponse{Pending: p}, nil
}

func (s *services) Approve(ctx context.Context, r *approvalv1.ApproveRequest) (*approvalv1.ApproveResponse, error) {
	s.note(ctx, "approve", r.GetRelease(), r.GetChangeDigest(), r.GetComment(), r.GetShownDigest())
	if r.GetRelease() == "shop-last" {
		return &approvalv1.ApproveResponse{Authorized: true}, nil
	}
	return &approvalv1.ApproveResponse{Missing: []*releasev1.QuorumRule{{Group: "qa", Count: 1}}}, nil
}

func (s *services) decide(ctx context.Context, verb, release, rest string) error {
	s.note(ctx, verb, release, rest)
	return known(release)
}

func (s *services) WithdrawApproval(ctx context.Context, r *approvalv1.WithdrawApprovalRequest) (*approvalv1.WithdrawApprovalResponse, error) {
	return &approvalv1.WithdrawApprovalResponse{}, s.decide(ctx, "withdraw-approval", r.GetRelease(), r.GetReason())
}

func (s *services) Reject(ctx context.Context, r *approvalv1.RejectRequest) (*approvalv1.RejectResponse, error) {
	return &approvalv1.RejectResponse{}, s.decide(ctx, "reject", r.GetRelease(), r.GetReason())
}

func (s *services) Withdraw(ctx context.Context, r *approvalv1.WithdrawRequest) (*approvalv1.WithdrawResponse, error) {
	return &approvalv1.WithdrawResponse{}, s.decide(ctx, "withdraw", r.GetRelease(), r.GetReason())
}

func (s *services) Pause(ctx context.Context, r *approvalv1.PauseRequest) (*approvalv1.PauseResponse, error) {
	return &approvalv1.PauseResponse{
		PausedBy: "dan", Reason: "it smells", Since: timestamppb.New(time.Date(2026, 7, 1, 17, 0, 0, 0, time.UTC)), Already: r.GetRelease() == "shop-b",
	}, s.decide(ctx, "pause", r.GetRelease(), r.GetReason())
}

func (s *services) Resume(ctx context.Context, r *approvalv1.ResumeRequest) (*approvalv1.ResumeResponse, error) {
	return &approvalv1.ResumeResponse{}, s.decide(ctx, "resume", r.GetRelease(), r.GetReason())
}

func (s *services) CloseIncident(ctx context.Context, r *approvalv1.CloseIncidentRequest) (*approvalv1.CloseIncidentResponse, error) {
	if err := s.decide(ctx, "close-incident", r.GetRelease(), r.GetReason()); err != nil {
		return nil, err
	}
	return &approvalv1.CloseIncidentResponse{Causes: []releasev1.Cause{releasev1.Cause_CAUSE_VALIDATION_FAILED}}, nil
}

func (s *services) SignOff(ctx context.Context, r *approvalv1.SignOffRequest) (*approvalv1.SignOffResponse, error) {
	return &approvalv1.SignOffResponse{Number: max(r.GetNumber(), 1)}, s.decide(ctx, "sign-off", r.GetRelease(), fmt.Sprint(r.GetCheck(), " ", r.GetPassed(), " ", r.GetComment()))
}

func (s *services) Abort(ctx context.Context, r *approvalv1.AbortRequest) (*approvalv1.AbortResponse, error) {
	return &approvalv1.AbortResponse{}, s.decide(ctx, "abort", r.GetRelease(), r.GetReason())
}

func (s *services) AcknowledgeNotice(ctx context.Context, r *approvalv1.AcknowledgeNoticeRequest) (*approvalv1.AcknowledgeNoticeResponse, error) {
	missing := []*releasev1.Party{{People: []string{"mia", "olu"}, Reason: "customer acme"}}
	return &approvalv1.AcknowledgeNoticeResponse{Missing: missing}, s.decide(ctx, "acknowledge-notice", r.GetRelease(), r.GetOccasion().String()+" "+r.GetComment())
}

func (s *services) ReportImpact(ctx context.Context, r *approvalv1.ReportImpactRequest) (*approvalv1.ReportImpactResponse, error) {
	return &approvalv1.ReportImpactResponse{}, s.decide(ctx, "report-impact", r.GetRelease(), r.GetDescription()+" "+strings.Join(r.GetCustomers(), "/"))
}

func (s *services) Acknowledge(ctx context.Context, r *approvalv1.AcknowledgeRequest) (*approvalv1.AcknowledgeResponse, error) {
	return &approvalv1.AcknowledgeResponse{Acknowledged: 2}, s.decide(ctx, "acknowledge", r.GetRelease(), r.GetCause().String()+" "+r.GetComment())
}

func (s *services) Intervene(ctx context.Context, r *approvalv1.InterveneRequest) (*approvalv1.InterveneResponse, error) {
	return &approvalv1.InterveneResponse{}, s.decide(ctx, r.GetAction().String(), r.GetRelease(), r.GetReason())
}

func (s *services) CompleteReview(ctx context.Context, r *approvalv1.CompleteReviewRequest) (*approvalv1.CompleteReviewResponse, error) {
	rest := r.GetResult().String() + " " + r.GetResidualRisk()
	for _, f := range r.GetFollowUps() {
		rest += " [" + f.GetAction() + "/" + f.GetOwner() + "/" + f.GetDue().AsTime().Format(time.RFC3339) + "]"
	}
	return &approvalv1.CompleteReviewResponse{}, s.decide(ctx, "review", r.GetRelease(), rest)
}

func (s *services) AddFollowUp(ctx context.Context, r *approvalv1.AddFollowUpRequest) (*approvalv1.AddFollowUpResponse, error) {
	f := r.GetFollowUp()
	return &approvalv1.AddFollowUpResponse{Number: 3}, s.decide(ctx, "follow-up add", r.GetRelease(),
		f.GetAction()+"/"+f.GetOwner()+"/"+f.GetDue().AsTime().Format(time.RFC3339))
}

func (s *services) CloseFollowUp(ctx context.Context, r *approvalv1.CloseFollowUpRequest) (*approvalv1.CloseFollowUpResponse, error) {
	return &approvalv1.CloseFollowUpResponse{}, s.decide(ctx, "follow-up close", r.GetRelease(), fmt.Sprint(r.GetNumber(), " ", r.GetComment()))
}

func (s *services) Delegate(ctx context.Context, r *approvalv1.DelegateRequest) (*approvalv1.DelegateResponse, error) {
	if r.GetStandIn() == "zoe" {
		return nil, refuse(codes.InvalidArgument, "INVALID_FIELD", "stand_in: there is no person \"zoe\"")
	}
	return &approvalv1.DelegateResponse{Delegation: &releasev1.Delegation{Number: 7}}, s.decide(ctx, "delegate", r.GetStandIn(),
		strings.Join(r.GetGroups(), ",")+" "+r.GetFrom().AsTime().Format(time.RFC3339)+" "+r.GetUntil().AsTime().Format(time.RFC3339)+" "+r.GetReason())
}

func (s *services) RevokeDelegation(ctx context.Context, r *approvalv1.RevokeDelegationRequest) (*approvalv1.RevokeDelegationResponse, error) {
	return &approvalv1.RevokeDelegationResponse{}, s.decide(ctx, "revoke-delegation", fmt.Sprint(r.GetNumber()), r.GetReason())
}

func (s *services) ListDelegations(context.Context, *approvalv1.ListDelegationsRequest) (*approvalv1.ListDelegationsResponse, error) {
	return &approvalv1.ListDelegationsResponse{Delegations: []*releasev1.Delegation{
		{Number: 7, Person: "olu", StandIn: "mia", From: at(0), Until: at(50), Reason: "on leave\x1b[2J"},
		{Number: 8, Person: "mia", StandIn: "bob", Groups: []string{"sre"}, From: at(1), Until: at(51), Reason: "night"},
	}}, nil
}

func (s *services) WhoCan(ctx context.Context, r *approvalv1.WhoCanRequest) (*approvalv1.WhoCanResponse, error) {
	s.note(ctx, "who-can", r.GetEnvironment(), r.GetService(), r.GetPerson())
	return &approvalv1.WhoCanResponse{ProcedureVersion: "3", ProcedureDigest: artifactDigest, Rights: []*approvalv1.Right{
		{Environment: "production", Action: "approve", Group: "sre", Count: 2, Signed: true, Holders: []*approvalv1.Holder{{Person: "mia", CanSign: true}, {Person: "bob", OnCall: weekly}}},
		{Environment: "production", Action: "approve_risk", Score: 8, Group: "sre", Count: 1, Holders: []*approvalv1.Holder{{Person: "mia"}}},
		{Environment: "production", Service: "shop", Action: "approve_lane", Score: 1, Lane: "standard", Group: "sre", Count: 1, Holders: []*approvalv1.Holder{{Person: "mia"}}},
		{Service: "shop", Action: "sign_off", Check: "ledger", Group: "sre", Count: 1, Holders: []*approvalv1.Holder{{Person: "mia"}}},
		{Service: "shop", Action: "own", Group: "devs", Count: 1, Holders: []*approvalv1.Holder{{Person: "olu"}, {Person: "bob", StandInFor: "olu"}}},
	}, OnCall: []*approvalv1.OnDuty{{Person: "bob", Shift: weekly}}}, nil
}

var weekly = &releasev1.Shift{
	Group: "sre", Rota: "weekly", Number: 7, Override: "mia is away\x1b[2J",
	From: timestamppb.New(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)), Until: timestamppb.New(time.Date(2026, 3, 9, 9, 0, 0, 0, time.UTC)),
}

func (s *services) OverrideFreeze(ctx context.Context, r *approvalv1.OverrideFreezeRequest) (*approvalv1.OverrideFreezeResponse, error) {
	return &approvalv1.OverrideFreezeResponse{
		Holds:         []*releasev1.HoldReason{{Rule: "freeze", Subject: "audit", SetBy: "mia", Message: "the books\x1b[2J"}},
		EarliestStart: timestamppb.New(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)),
	}, s.decide(ctx, "override", r.GetRelease(), r.GetFreeze()+" "+r.GetReason()+" "+r.GetTicket())
}

func (s *services) GetRelease(_ context.Context, r *recorderv1.GetReleaseRequest) (*recorderv1.GetReleaseResponse, error) {
	if err := known(r.GetRelease()); err != nil {
		return nil, err
	}
	answer := &recorderv1.GetReleaseResponse{AsOfSequence: 40}
	for _, release := range allReleases() {
		if release.GetRelease() == r.GetRelease() {
			answer.Release = release
		}
	}
	if of, _, ok := procedure.RollbackOf(r.GetRelease()); ok {
		answer.Release = &recorderv1.Release{Release: r.GetRelease(), WayBackOf: of}
	}
	if r.GetEvents() { // Three to an answer, as if they were large.
		events := slices.DeleteFunc(eventsOf(r.GetRelease()), func(e *recorderv1.RecordedEvent) bool {
			return e.GetSequence() <= r.GetEventsAfter()
		})
		answer.Events = events[:min(3, len(events))]
		answer.MoreEvents = len(events) > 3
	}
	return answer, nil
}

func (s *services) ListReleases(ctx context.Context, r *recorderv1.ListReleasesRequest) (*recorderv1.ListReleasesResponse, error) {
	s.note(ctx, "list", oneLine(r.GetFilter()), r.GetPageToken())
	all := allReleases()
	if r.GetFilter().GetService() == "none" {
		all = nil
	}
	if r.GetFilter().GetOpen() {
		all = all[:1]
	}
	if r.GetPageToken() == "2" {
		return &recorderv1.ListReleasesResponse{Releases: all[2:], AsOfSequence: 41}, nil
	}
	if len(all) > 2 {
		return &recorderv1.ListReleasesResponse{Releases: all[:min(2, int(r.GetPageSize()))], NextPageToken: "2", AsOfSequence: 40}, nil
	}
	return &recorderv1.ListReleasesResponse{Releases: all, AsOfSequence: 40}, nil
}

// WatchRelease shows a release that goes through its steps. The first stream is cut
// off after two answers, as by a recorder that restarts.
func (s *services) WatchRelease(r *recorderv1.WatchReleaseRequest, stream grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]) error {
	if err := known(r.GetRelease()); err != nil {
		return err
	}
	s.mu.Lock()
	s.watched[r.GetRelease()]++
	first := s.watched[r.GetRelease()] == 1
	s.mu.Unlock()
	answers := course(r.GetRelease())
	if !first {
		answers = append([]*recorderv1.WatchReleaseResponse{{Release: answers[2].GetRelease()}}, answers[3:]...)
	}
	for i, a := range answers {
		if first && i == 2 {
			return status.Error(codes.Unavailable, "the recorder is shutting down")
		}
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	if r.GetRelease() == "shop-slow" {
		<-stream.Context().Done()
	}
	return nil
}

func (s *services) GetRecord(_ context.Context, r *recorderv1.GetRecordRequest) (*recorderv1.GetRecordResponse, error) {
	if err := known(r.GetRelease()); err != nil {
		return nil, err
	}
	document := "# Deployment record of " + r.GetRelease() + "\n"
	if r.GetFormat() == recorderv1.GetRecordRequest_FORMAT_JSON {
		document = `{"release":"` + r.GetRelease() + `"}`
		if of, _, ok := procedure.RollbackOf(r.GetRelease()); ok {
			document = `{"rollback":"` + r.GetRelease() + `","way_back_of":"` + of + `"}`
		}
	}
	sum := sha256.Sum256([]byte(document))
	if r.GetRelease() == "shop-forged" {
		document += "forged"
	}
	return &recorderv1.GetRecordResponse{Document: []byte(document), Digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

func (s *services) ListRefusals(_ context.Context, r *recorderv1.ListRefusalsRequest) (*recorderv1.ListRefusalsResponse, error) {
	if r.GetPageToken() != "" {
		return &recorderv1.ListRefusalsResponse{Refusals: []*recorderv1.Refusal{refusedRequest(11)}, AsOfSequence: 41}, nil
	}
	return &recorderv1.ListRefusalsResponse{Refusals: []*recorderv1.Refusal{refusedRequest(12)}, NextPageToken: "2", AsOfSequence: 40}, nil
}

// course is a release on its way from the gates to its end.
func course(id string) []*recorderv1.WatchReleaseResponse {
	r := allReleases()[0]
	r.Release, r.Phase, r.Actions, r.Missing, r.Summary = id, "gates", nil, nil, "The gates are being looked at."
	r.LastSequence = 10
	for _, s := range r.GetSteps() {
		s.Status, s.Detail, s.Started, s.Ended = recorderv1.Step_STATUS_PENDING, "", nil, nil
	}
	r.Steps[0].Status = recorderv1.Step_STATUS_RUNNING
	out := []*recorderv1.WatchReleaseResponse{{Release: proto.CloneOf(r), AsOfSequence: 10}}
	advance := func(event *releasev1.Event, done int, detail, phase, summary string) {
		r.LastSequence++
		r.Updated = at(int(r.GetLastSequence() % 60))
		r.Phase, r.Summary = phase, summary
		r.Steps[done].Status, r.Steps[done].Detail = recorderv1.Step_STATUS_DONE, detail
		if done+1 < len(r.GetSteps()) {
			r.Steps[done+1].Status = recorderv1.Step_STATUS_RUNNING
		}
		out = append(out, &recorderv1.WatchReleaseResponse{
			Release: proto.CloneOf(r), AsOfSequence: r.GetLastSequence(),
			Event: &recorderv1.RecordedEvent{Sequence: r.GetLastSequence(), Stored: at(int(r.GetLastSequence() % 60)), Event: event},
		})
	}
	advance(&releasev1.Event{Data: &releasev1.Event_GatesConfirmed{}}, 0, "2 of 2 gates passed", "scope", "Artifacts and targets are being looked at.")
	advance(&releasev1.Event{Data: &releasev1.Event_ScopeValidated{}}, 1, "1 artifacts pinned, 2 targets", "risk", "Risks and freezes are being looked at.")
	advance(&releasev1.Event{Data: &releasev1.Event_RiskCleared{}}, 2, "nothing speaks against it \x1b[31m", "approve", "It waits for approvals.")
	if id == "shop-slow" {
		return out
	}
	r.Outcome = releasev1.Outcome_OUTCOME_SUCCEEDED
	switch id {
	case "shop-rejected":
		r.Outcome = releasev1.Outcome_OUTCOME_REJECTED
	case "shop-rolled":
		r.Outcome = releasev1.Outcome_OUTCOME_ROLLED_BACK
	}
	advance(&releasev1.Event{Data: &releasev1.Event_Recorded{}}, len(r.GetSteps())-1, "recorded", "closed", "It is over.")
	return out
}
