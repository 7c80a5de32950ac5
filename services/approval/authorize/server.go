package authorize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// Store reads and appends histories, and reads which document is in effect.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
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
	store       Store
	procedures  Procedures
	procedureID string
	waiting     Waiting
	evidence    Evidence
	now         func() time.Time
	roots       *sigstore.Shelf
	// dry is a desk at which nothing happens: it is given the reading half of the store.
	dry *whatif.Desk
}

// NewServer returns the service for the procedure with that id. What people were shown
// is kept as evidence; the world is asked where somebody asks what if.
func NewServer(store Store, procedures Procedures, procedureID string, waiting Waiting, kept Evidence, world whatif.World, now func() time.Time) *Server {
	return &Server{
		store: store, procedures: procedures, procedureID: procedureID, waiting: waiting, evidence: kept, now: now, roots: sigstore.NewShelf(kept.Get),
		dry: whatif.New(reading{store}, procedures, kept, world),
	}
}

// Approve implements approvalv1.ApprovalServiceServer (PD-A.2, PD-A.3). What the caller
// was shown is on record before the approval is (D-1.6).
func (s *Server) Approve(ctx context.Context, r *approvalv1.ApproveRequest) (*approvalv1.ApproveResponse, error) {
	var unfit error
	state, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if r.GetStandInFor() == "" { // else it rests on what the other is on call for
			d.asOnCall(d.needed()...)
		}
		stand, err := s.standIn(ctx, d, r.GetStandInFor())
		if err != nil {
			return nil, err
		}
		if err := procedure.MayApproveFor(d.state, d.person, stand, r.GetChangeDigest(), d.now); err != nil {
			if errors.Is(err, procedure.ErrNotApprover) && procedure.TellsOfAttempt(d.state, d.person.GetId()) {
				unfit = err
			}
			return nil, err
		}
		if why := d.active.Linked(d.state, d.person.GetId()); why != "" {
			return nil, fmt.Errorf("%w: %s", procedure.ErrOwnChange, why)
		}
		event, err := s.approval(ctx, d, stand, r)
		if err != nil {
			return nil, err
		}
		event.Unkept, err = s.keep(ctx, d, r.GetShownDigest())
		return event, err
	})
	if err != nil && unfit != nil {
		s.tellOfAttempt(ctx, r.GetRelease(), unfit)
	}
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
		if d.state.ChangeDigest != "" && !d.inOneOf(d.needed()...) {
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
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		return &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{Reason: r.GetReason()}}}, nil
	})
	return &approvalv1.AbortResponse{}, err
}

// Pause implements approvalv1.ApprovalServiceServer (PD-5.3). A release that is paused already
// stays so, under the name and with the reason of who paused it: nothing is stored, and the answer says
// so. Whoever asks has what they want, and knows whom to talk to before that one resumes it.
func (s *Server) Pause(ctx context.Context, r *approvalv1.PauseRequest) (*approvalv1.PauseResponse, error) {
	var before procedure.Pause
	after, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		if before = d.state.Pause; d.state.Paused() {
			return nil, precondition("it is paused already, by %s", before.Person)
		}
		return &releasev1.Event{Data: &releasev1.Event_Paused{Paused: &releasev1.Paused{Reason: r.GetReason()}}}, nil
	})
	already := before.Person != ""
	switch {
	case already:
		after.Pause = before
	case err != nil:
		return nil, err
	}
	return &approvalv1.PauseResponse{
		PausedBy: after.Pause.Person, Reason: after.Pause.Reason, Since: timestamppb.New(after.Pause.Since), Already: already,
	}, nil
}

// Resume implements approvalv1.ApprovalServiceServer (PD-5.3).
func (s *Server) Resume(ctx context.Context, r *approvalv1.ResumeRequest) (*approvalv1.ResumeResponse, error) {
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		return &releasev1.Event{Data: &releasev1.Event_Resumed{Resumed: &releasev1.Resumed{Reason: r.GetReason()}}}, nil
	})
	return &approvalv1.ResumeResponse{}, err
}

// Acknowledge implements approvalv1.ApprovalServiceServer. Whoever was called may
// take an escalation on, and so may the owner and the operators.
func (s *Server) Acknowledge(ctx context.Context, r *approvalv1.AcknowledgeRequest) (*approvalv1.AcknowledgeResponse, error) {
	causes, err := s.open(ctx, r)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	for _, cause := range causes {
		_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
			if err := d.called(cause); err != nil {
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
	d, err := s.look(ctx, r.GetRelease())
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

// Intervene implements approvalv1.ApprovalServiceServer (PD-7.2).
//
// A decision that ends the release closes its incident: like who closes one, whoever makes it has to
// have seen all of it.
func (s *Server) Intervene(ctx context.Context, r *approvalv1.InterveneRequest) (*approvalv1.InterveneResponse, error) {
	var sees sight
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := d.operator(); err != nil {
			return nil, err
		}
		if r.GetAction() == releasev1.Intervened_ACTION_ACCEPT {
			if err := sees.still(d.state); err != nil {
				return nil, err
			}
		}
		return procedure.DecideIntervention(d.state, r.GetAction(), r.GetReason()), nil
	})
	return &approvalv1.InterveneResponse{}, err
}

// CompleteReview implements approvalv1.ApprovalServiceServer (PD-A.5).
func (s *Server) CompleteReview(ctx context.Context, r *approvalv1.CompleteReviewRequest) (*approvalv1.CompleteReviewResponse, error) {
	_, err := s.handle(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		group := d.index.Document().GetEmergency().GetReviewGroup()
		if !d.memberOf(group) {
			return nil, denied("only a member of %s (emergency.review_group) may review an emergency", group)
		}
		if role := d.reviewConflict(); role != "" && d.state.ReviewOwed() {
			return nil, denied("%s is %s and may not review it", d.person.GetId(), role)
		}
		for i, f := range r.GetFollowUps() {
			if err := d.followUp(fmt.Sprintf("follow_ups[%d]", i), f); err != nil {
				return nil, err
			}
		}
		return &releasev1.Event{Data: &releasev1.Event_ReviewCompleted{ReviewCompleted: &releasev1.ReviewCompleted{
			Result: r.GetResult(), ResidualRisk: r.GetResidualRisk(), FollowUps: r.GetFollowUps(),
		}}}, nil
	})
	return &approvalv1.CompleteReviewResponse{}, err
}

// followUp judges what the schema cannot: who is there, and whether a time that lies
// within its bounds is one at all.
func (d desk) followUp(path string, f *releasev1.FollowUp) error {
	owner := d.active.Person(f.GetOwner())
	switch {
	case !f.GetDue().IsValid():
		return invalidField(path+".due", "needs a date")
	case owner == nil || owner.GetId() != f.GetOwner() || owner.GetInactive() || owner.GetMachine():
		return invalidField(path+".owner", "needs the id of a person of the procedure who has not left")
	}
	return nil
}
