package authorize

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Store reads and appends histories.
type Store interface {
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error)
}

// Waiting lists the releases that wait for approvals, oldest first.
type Waiting interface {
	Waiting(ctx context.Context) ([]string, error)
}

// Server is the gRPC service through which people decide. It is safe for
// concurrent use.
type Server struct {
	approvalv1.UnimplementedApprovalServiceServer
	store      Store
	procedures Procedures
	waiting    Waiting
	now        func() time.Time
}

// NewServer returns the service.
func NewServer(store Store, procedures Procedures, waiting Waiting, now func() time.Time) *Server {
	return &Server{store: store, procedures: procedures, waiting: waiting, now: now}
}

// desk is one call's view: the release, its procedure, and the person who calls.
type desk struct {
	state  procedure.State
	head   eventstore.History
	index  *policy.Index
	person *releasev1.Actor
	now    time.Time
}

// sit loads the release and finds out who calls, as the release's own procedure
// document knows them.
func (s *Server) sit(ctx context.Context, release string) (desk, error) {
	h, err := s.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return desk{}, err
	}
	state, _ := procedure.Fold(release, h.Entries)
	if state.Phase == procedure.PhaseNone {
		return desk{}, errNotFound
	}
	index, err := s.procedures.ByDigest(ctx, state.ProcedureDigest)
	if err != nil {
		return desk{}, err
	}
	person, err := whoCalls(ctx, index)
	if err != nil {
		return desk{}, err
	}
	return desk{state: state, head: h, index: index, person: person, now: s.now()}, nil
}

// whoCalls turns the caller into a person, with the groups that the person is in
// now: they are frozen into what is decided.
func whoCalls(ctx context.Context, index *policy.Index) (*releasev1.Actor, error) {
	c, ok := identity.FromContext(ctx)
	if !ok {
		return nil, errUnauthenticated
	}
	for _, name := range c.Names {
		p := index.Person(name)
		switch {
		case p == nil:
			continue
		case p.GetInactive():
			return nil, errInactive
		case p.GetMachine():
			return nil, errMachine
		}
		return &releasev1.Actor{
			Id: p.GetId(), Kind: releasev1.Actor_KIND_HUMAN, Method: c.Method, Groups: index.GroupsOf(p.GetId()),
		}, nil
	}
	return nil, errStranger
}

func (d desk) memberOf(group string) bool { return slices.Contains(d.person.GetGroups(), group) }

// operator refuses people who may not handle a release that is under way: its
// owner and the operators may.
func (d desk) operator() error {
	if d.person.GetId() == d.state.Request.GetOwner() || d.memberOf(d.index.Document().GetOperatorsGroup()) {
		return nil
	}
	return denied("only the owner %s or a member of %s may do this",
		d.state.Request.GetOwner(), d.index.Document().GetOperatorsGroup())
}

// decide lets the caller decide something about a release, and stores it. The
// decision is made again where somebody else wrote in between.
func (s *Server) decide(ctx context.Context, release string, what func(desk) (*releasev1.Event, error)) (procedure.State, error) {
	for {
		d, err := s.sit(ctx, release)
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		event, err := what(d)
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		if err := failpoint.Hit("desk.decided"); err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		event.Actor, event.ProcedureDigest = d.person, d.state.ProcedureDigest
		stored, err := s.store.Append(ctx, eventstore.Draft{
			Aggregate: d.head.Aggregate, Expect: d.head.Last, Previous: d.state.Head.Previous(), Event: event,
		})
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		failpoint.At("desk.stored")
		// What was stored counts only if the fold says so.
		after, err := s.counted(ctx, release, stored[0].Sequence)
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		return after, nil
	}
}

// counted folds the release again and says whether the event that was stored under
// that sequence counts, and if not, why.
func (s *Server) counted(ctx context.Context, release string, sequence uint64) (procedure.State, error) {
	h, err := s.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return procedure.State{}, err
	}
	state, rejected := procedure.Fold(release, h.Entries)
	for _, r := range rejected {
		if r.Entry.Sequence == sequence {
			return procedure.State{}, r.Reason
		}
	}
	return state, nil
}

// Approve implements approvalv1.ApprovalServiceServer (PD-A.2, PD-A.3).
func (s *Server) Approve(ctx context.Context, r *approvalv1.ApproveRequest) (*approvalv1.ApproveResponse, error) {
	state, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := procedure.MayApprove(d.state, d.person, r.GetChangeDigest(), d.now); err != nil {
			return nil, err
		}
		return approval(d, r), nil
	})
	if err != nil {
		return nil, err
	}
	_, missing := procedure.Count(state, s.now())
	return &approvalv1.ApproveResponse{Authorized: len(missing) == 0, Missing: missing}, nil
}

// WithdrawApproval implements approvalv1.ApprovalServiceServer.
func (s *Server) WithdrawApproval(ctx context.Context, r *approvalv1.WithdrawApprovalRequest) (*approvalv1.WithdrawApprovalResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(desk) (*releasev1.Event, error) {
		return &releasev1.Event{Data: &releasev1.Event_ApprovalWithdrawn{
			ApprovalWithdrawn: &releasev1.ApprovalWithdrawn{Reason: r.GetReason()},
		}}, nil
	})
	return &approvalv1.WithdrawApprovalResponse{}, err
}

// Reject implements approvalv1.ApprovalServiceServer: a rejection is final.
func (s *Server) Reject(ctx context.Context, r *approvalv1.RejectRequest) (*approvalv1.RejectResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if !slices.ContainsFunc(d.state.Quorum, func(q *releasev1.QuorumRule) bool { return d.memberOf(q.GetGroup()) }) && d.state.ChangeDigest != "" {
			return nil, denied("%s is in no group whose approval is needed", d.person.GetId())
		}
		return &releasev1.Event{Data: &releasev1.Event_Rejected{Rejected: &releasev1.Rejected{Reason: r.GetReason()}}}, nil
	})
	return &approvalv1.RejectResponse{}, err
}

// Withdraw implements approvalv1.ApprovalServiceServer (PD-0.4).
func (s *Server) Withdraw(ctx context.Context, r *approvalv1.WithdrawRequest) (*approvalv1.WithdrawResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if id := d.person.GetId(); id != d.state.Request.GetOwner() && id != d.state.Request.GetRequester() {
			return nil, denied("only the owner %s or the requester %s may withdraw it", d.state.Request.GetOwner(), d.state.Request.GetRequester())
		}
		return &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: r.GetReason()}}}, nil
	})
	return &approvalv1.WithdrawResponse{}, err
}

// Abort implements approvalv1.ApprovalServiceServer (PD-5.3).
func (s *Server) Abort(ctx context.Context, r *approvalv1.AbortRequest) (*approvalv1.AbortResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		return &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{Reason: r.GetReason()}}}, nil
	})
	return &approvalv1.AbortResponse{}, err
}

// Acknowledge implements approvalv1.ApprovalServiceServer. Whoever was called may
// take an escalation on, and so may the owner and the operators.
func (s *Server) Acknowledge(ctx context.Context, r *approvalv1.AcknowledgeRequest) (*approvalv1.AcknowledgeResponse, error) {
	causes, err := s.open(ctx, r)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	for _, cause := range causes {
		_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
			if err := d.called(); err != nil {
				return nil, err
			}
			return &releasev1.Event{Data: &releasev1.Event_Acknowledged{
				Acknowledged: &releasev1.Acknowledged{Cause: cause, Comment: r.GetComment()},
			}}, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return &approvalv1.AcknowledgeResponse{Acknowledged: int32(len(causes))}, nil //nolint:gosec // There are ten causes.
}

func (s *Server) open(ctx context.Context, r *approvalv1.AcknowledgeRequest) ([]releasev1.Cause, error) {
	d, err := s.sit(ctx, r.GetRelease())
	if err != nil {
		return nil, err
	}
	open := d.state.OpenEscalations()
	if c := r.GetCause(); c != releasev1.Cause_CAUSE_UNSPECIFIED {
		open = slices.DeleteFunc(open, func(o releasev1.Cause) bool { return o != c })
	}
	if len(open) == 0 {
		return nil, precondition("no escalation of %s is open", r.GetRelease())
	}
	return open, nil
}

func (d desk) called() error {
	for _, rung := range d.index.Document().GetEscalation().GetRungs() {
		if d.memberOf(rung.GetGroup()) {
			return nil
		}
	}
	return d.operator()
}

// Intervene implements approvalv1.ApprovalServiceServer (PD-7.2).
func (s *Server) Intervene(ctx context.Context, r *approvalv1.InterveneRequest) (*approvalv1.InterveneResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		return &releasev1.Event{Data: &releasev1.Event_Intervened{
			Intervened: &releasev1.Intervened{Action: r.GetAction(), Reason: r.GetReason()},
		}}, nil
	})
	return &approvalv1.InterveneResponse{}, err
}

// CompleteReview implements approvalv1.ApprovalServiceServer (PD-A.5).
func (s *Server) CompleteReview(ctx context.Context, r *approvalv1.CompleteReviewRequest) (*approvalv1.CompleteReviewResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		group := d.index.Document().GetEmergency().GetReviewGroup()
		if !d.memberOf(group) {
			return nil, denied("only a member of %s may review an emergency", group)
		}
		if role := d.state.ReviewConflict(d.person.GetId()); role != "" && d.state.ReviewOwed() {
			return nil, denied("%s is %s and may not review it", d.person.GetId(), role)
		}
		for i, f := range r.GetFollowUps() {
			if f.GetAction() == "" || f.GetDue() == nil || d.index.Person(f.GetOwner()) == nil {
				return nil, invalidField("follow_ups", i, "needs an action, a due date, and an owner who is a person of the procedure")
			}
		}
		return &releasev1.Event{Data: &releasev1.Event_ReviewCompleted{ReviewCompleted: &releasev1.ReviewCompleted{
			Result: r.GetResult(), ResidualRisk: r.GetResidualRisk(), FollowUps: r.GetFollowUps(),
		}}}, nil
	})
	return &approvalv1.CompleteReviewResponse{}, err
}
