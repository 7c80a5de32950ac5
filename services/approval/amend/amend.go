// Package amend is where people change the procedure document (PD-9.4): somebody
// proposes another one, somebody else approves it, and then it is activated. It is the
// gRPC service shipwarden.approval.v1.ProcedureService, and what an administrator does
// with the first document, and around the service where it cannot be used.
//
// Who may is said by the document in effect, never by the proposed one. What may happen
// is decided by package procedure; here it is found out who calls, what a document
// changes, and whether it is one at all. Document and assessment are kept as evidence
// before the event that names them.
//
// Everything about one procedure is one history, and every event of it is appended after
// the newest one. So of two activations at the same moment one takes effect, and the
// other finds its proposal void. An answer that was lost leaves nothing in doubt: the
// same call again finds what the first one did.
package amend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// Store reads and appends the history of the document.
type Store interface {
	Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error)
	// Procedures returns the ids that ever had a document in effect, as in subjects.
	Procedures(ctx context.Context) ([]string, error)
	// Load and Beginning read histories: that of the document, and those of releases.
	whatif.Store
	// NewestReleases returns the ids of so many releases, newest first, and the sequence of the
	// first one's request.
	NewestReleases(ctx context.Context, most int) (ids []string, newest uint64, err error)
	// NewestRequest is the newest request of a release on record.
	NewestRequest(ctx context.Context) (procedure.Entry, bool, error)
}

// Evidence keeps documents; *evidence.Store does.
type Evidence interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Procedures gives versions of the document by their digest.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Config is what the service needs.
type Config struct {
	Store      Store
	Evidence   Evidence
	Procedures Procedures
	// ProcedureID is the procedure whose document is changed.
	ProcedureID string
	// Channels and Connectors are the names of those that are configured.
	Channels   []string
	Connectors []string
	Now        func() time.Time
}

// Server is the gRPC service. It is safe for concurrent use.
type Server struct {
	approvalv1.UnimplementedProcedureServiceServer
	Config
	// comparing has a place for each comparison that is made.
	comparing chan struct{}
}

// NewServer returns the service.
func NewServer(c Config) *Server {
	return &Server{Config: c, comparing: make(chan struct{}, comparesAtOnce)}
}

// desk is one call's view: what is in effect, and the person who calls, as the document
// in effect knows them.
type desk struct {
	active standing.Procedure
	index  *policy.Index
	person *releasev1.Actor
	now    time.Time
}

func (s *Server) sit(ctx context.Context) (desk, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return desk{}, errUnauthenticated
	}
	active, err := standing.ReadProcedure(ctx, s.Store, s.ProcedureID)
	if err != nil {
		return desk{}, err
	}
	if active.Digest == "" {
		return desk{}, errNothing
	}
	index, err := s.Procedures.ByDigest(ctx, active.Digest)
	if err != nil {
		return desk{}, err
	}
	person, err := authorize.PersonOf(caller, index)
	if err != nil {
		return desk{}, err
	}
	return desk{active: active, index: index, person: person, now: s.Now()}, nil
}

// decide lets the caller decide something about the document, and stores it. The decision
// is made again where somebody else wrote in between.
func (s *Server) decide(ctx context.Context, what func(desk) (*releasev1.Event, error)) (*releasev1.Event, error) {
	for {
		d, err := s.sit(ctx)
		if err != nil {
			return nil, toStatus(ctx, err)
		}
		event, err := what(d)
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil || event == nil {
			return nil, toStatus(ctx, err)
		}
		_, err = s.Store.Append(ctx, d.active.Draft(event))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return nil, toStatus(ctx, err)
		}
		slog.InfoContext(ctx, "procedure document", slog.String("event", procedure.TypeOf(event)),
			slog.String("person", d.person.GetId()), slog.String("in_effect", procedure.StandingOf(event).GetVersion()))
		return event, nil
	}
}

// GetProcedure implements approvalv1.ProcedureServiceServer.
func (s *Server) GetProcedure(ctx context.Context, _ *approvalv1.GetProcedureRequest) (*approvalv1.GetProcedureResponse, error) {
	d, err := s.sit(ctx)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	return &approvalv1.GetProcedureResponse{Procedure: d.index.Document().GetId(), Standing: d.active.Document.Standing}, nil
}

// GetProposal implements approvalv1.ProcedureServiceServer.
func (s *Server) GetProposal(ctx context.Context, r *approvalv1.GetProposalRequest) (*approvalv1.GetProposalResponse, error) {
	d, err := s.sit(ctx)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	p := d.active.Document.Proposal(r.GetNumber())
	if p == nil {
		return nil, toStatus(ctx, noProposal(r.GetNumber()))
	}
	assessment, err := s.assessment(ctx, p.GetAssessmentDigest())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	_, missing := procedure.CountProposal(p, d.now)
	out := &approvalv1.GetProposalResponse{
		Proposal: p, Assessment: assessment, Missing: missing, Expired: procedure.ProposalExpired(p, d.now), AsOf: stamp(d.now),
	}
	if err := procedure.MayApproveProposal(d.active.Document, d.person, p.GetNumber(), p.GetDigest(), d.now); err != nil {
		out.MayNotReason = err.Error()
	} else {
		out.MayApprove = true
	}
	return out, nil
}

// ApproveProposal implements approvalv1.ProcedureServiceServer.
func (s *Server) ApproveProposal(ctx context.Context, r *approvalv1.ApproveProposalRequest) (*approvalv1.ApproveProposalResponse, error) {
	var at time.Time
	event, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		at = d.now
		valid := d.index.Document().GetChangeControl().GetApprovalValid().AsDuration()
		return procedure.DecideProposalApproved(d.active.Document, d.person, r.GetNumber(), r.GetDigest(), r.GetComment(), valid, d.now)
	})
	if err != nil {
		return nil, err
	}
	after := procedure.Document{Standing: procedure.StandingOf(event)}
	_, missing := procedure.CountProposal(after.Proposal(r.GetNumber()), at)
	return &approvalv1.ApproveProposalResponse{Missing: missing}, nil
}

// RejectProposal implements approvalv1.ProcedureServiceServer: a rejection is final.
func (s *Server) RejectProposal(ctx context.Context, r *approvalv1.RejectProposalRequest) (*approvalv1.RejectProposalResponse, error) {
	_, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		return procedure.DecideProposalRejected(d.active.Document, d.person, r.GetNumber(), r.GetReason(), d.now)
	})
	return &approvalv1.RejectProposalResponse{}, err
}

// WithdrawProposal implements approvalv1.ProcedureServiceServer.
func (s *Server) WithdrawProposal(ctx context.Context, r *approvalv1.WithdrawProposalRequest) (*approvalv1.WithdrawProposalResponse, error) {
	event, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		return procedure.DecideProposalWithdrawn(d.active.Document, d.person, r.GetNumber(), r.GetReason(), d.now)
	})
	return &approvalv1.WithdrawProposalResponse{Closed: event.GetProcedureProposalClosed() != nil}, err
}

// ActivateProposal implements approvalv1.ProcedureServiceServer. Called again after an
// answer that was lost, it finds the document in effect, and says so.
func (s *Server) ActivateProposal(ctx context.Context, r *approvalv1.ActivateProposalRequest) (*approvalv1.ActivateProposalResponse, error) {
	out := &approvalv1.ActivateProposalResponse{}
	event, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		if d.active.Digest == r.GetDigest() {
			out.Version, out.Digest = d.active.Version, d.active.Digest
			return nil, nil
		}
		// Whoever proposed it may have been served by a program that knew of no such demand.
		demanded := d.index.Document().GetChangeControl().GetCompareLast()
		if p := d.active.Document.Proposal(r.GetNumber()); p != nil && p.GetComparison().GetLast() < demanded {
			return nil, fmt.Errorf("%w: with none, and %d are demanded", procedure.ErrNotCompared, demanded)
		}
		return procedure.DecideProposalActivated(d.active.Document, d.person, r.GetNumber(), r.GetDigest(), d.now)
	})
	if event != nil {
		a := event.GetProcedureActivated()
		out.Version, out.Digest, out.Voided = a.GetVersion(), a.GetDigest(), a.GetVoided()
	}
	return out, err
}
