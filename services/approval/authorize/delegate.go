package authorize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// maxDelegations bounds how many there are at a time, and maxOwnDelegations how many of
	// them are one person's: all of them are in one event, and nobody fills it alone.
	maxDelegations    = 200
	maxOwnDelegations = 8
	// maxDelegated is the size in bytes of the largest event after which there is one more.
	// What is left of an event is for revoking, which has to be possible always, and for
	// the groups of who does it.
	maxDelegated = envelope.MaxBody - 8<<10
)

var (
	errManyDelegations = refuse(codes.ResourceExhausted, "TOO_MANY_DELEGATIONS", "there are as many delegations as there may be")
	errOwnDelegations  = refuse(codes.ResourceExhausted, "TOO_MANY_OF_ONE_PERSON",
		fmt.Sprintf("nobody has more than %d delegations at a time: revoke one, or wait for the end of one", maxOwnDelegations))
	errDelegationsFull = refuse(codes.ResourceExhausted, "DELEGATIONS_FULL",
		"one more delegation does not fit beside those that there are: an operator, or who is in them, can revoke some")
)

// Delegate implements approvalv1.ApprovalServiceServer (D-1.4).
func (s *Server) Delegate(ctx context.Context, r *approvalv1.DelegateRequest) (*approvalv1.DelegateResponse, error) {
	var made *releasev1.Delegation
	err := s.delegations(ctx, func(b board) (*releasev1.Event, error) {
		made = &releasev1.Delegation{
			Person: b.person.GetId(), StandIn: r.GetStandIn(), Groups: r.GetGroups(), From: r.GetFrom(), Until: r.GetUntil(), Reason: r.GetReason(),
		}
		if made.GetFrom() == nil {
			made.From = timestamppb.New(b.now)
		}
		field, err := b.index.CheckDelegation(b.present(), made, append(b.index.Rostered(b.person.GetId()), b.person.GetGroups()...), b.now)
		switch {
		case errors.Is(err, policy.ErrNoStandIns):
			return nil, denied("%v", err)
		case err != nil:
			return nil, invalidField(field, err.Error())
		case len(b.present()) >= maxDelegations:
			return nil, errManyDelegations
		case len(slices.DeleteFunc(b.present(), func(d *releasev1.Delegation) bool { return d.GetPerson() != made.GetPerson() })) >= maxOwnDelegations:
			return nil, errOwnDelegations
		}
		event := b.Made(made, b.now)
		if proto.Size(event) > maxDelegated {
			return nil, errDelegationsFull
		}
		return event, nil
	})
	return &approvalv1.DelegateResponse{Delegation: made}, err
}

// RevokeDelegation implements approvalv1.ApprovalServiceServer. An approval that was given
// by it does not start anything any more.
func (s *Server) RevokeDelegation(ctx context.Context, r *approvalv1.RevokeDelegationRequest) (*approvalv1.RevokeDelegationResponse, error) {
	err := s.delegations(ctx, func(b board) (*releasev1.Event, error) {
		one := b.Find(r.GetNumber())
		if one == nil || !b.now.Before(one.GetUntil().AsTime()) {
			return nil, refuse(codes.NotFound, "DELEGATION_NOT_FOUND", fmt.Sprintf("there is no delegation %d, or it is over", r.GetNumber()))
		}
		by := b.person.GetId()
		if by != one.GetPerson() && by != one.GetStandIn() && !slices.Contains(b.person.GetGroups(), b.index.Document().GetOperatorsGroup()) {
			return nil, denied("only %s, %s or a member of %s may revoke it", one.GetPerson(), one.GetStandIn(), b.index.Document().GetOperatorsGroup())
		}
		return b.Revoked(one, r.GetReason(), b.now), nil
	})
	return &approvalv1.RevokeDelegationResponse{}, err
}

// ListDelegations implements approvalv1.ApprovalServiceServer.
func (s *Server) ListDelegations(ctx context.Context, _ *approvalv1.ListDelegationsRequest) (*approvalv1.ListDelegationsResponse, error) {
	if _, _, err := s.known(ctx); err != nil {
		return nil, toStatus(ctx, err)
	}
	all, err := standing.ReadDelegations(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	return &approvalv1.ListDelegationsResponse{Delegations: board{Delegations: all, now: s.now()}.present()}, nil
}

// board is one call's view of the delegations, and the person who calls.
type board struct {
	standing.Delegations
	index  *policy.Index
	person *releasev1.Actor
	now    time.Time
}

// present are the delegations that are not over.
func (b board) present() []*releasev1.Delegation {
	return slices.DeleteFunc(slices.Clone(b.All), func(d *releasev1.Delegation) bool { return !b.now.Before(d.GetUntil().AsTime()) })
}

// delegations lets the caller change the delegations, again where somebody else did in
// between.
func (s *Server) delegations(ctx context.Context, what func(board) (*releasev1.Event, error)) error {
	for {
		caller, index, err := s.known(ctx)
		if err != nil {
			return toStatus(ctx, err)
		}
		b := board{index: index, now: s.now()}
		if b.person, err = personOf(caller, index); err != nil {
			return toStatus(ctx, err)
		}
		if b.Delegations, err = standing.ReadDelegations(ctx, s.store, s.procedureID); err != nil {
			return toStatus(ctx, err)
		}
		event, err := what(b)
		if err != nil {
			return toStatus(ctx, err)
		}
		active, err := standing.ReadProcedure(ctx, s.store, s.procedureID)
		if err != nil {
			return toStatus(ctx, err)
		}
		event.Actor, event.ProcedureDigest = b.person, active.Digest
		_, err = s.store.Append(ctx, b.Draft(event))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return toStatus(ctx, err)
		}
		return nil
	}
}

// standIn is by which right the caller approves for somebody else, by the document of the
// release and by the one in effect now; nil for themselves.
func (s *Server) standIn(ctx context.Context, d desk, person string) (*releasev1.StandIn, error) {
	if person == "" {
		return nil, nil //nolint:nilnil // They approve for themselves.
	}
	all, err := standing.ReadDelegations(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, err
	}
	own, now := d.index.StandIn(all.All, person, d.person.GetId(), d.now), d.active.StandIn(all.All, person, d.person.GetId(), d.now)
	p := d.active.Person(person)
	if own == nil || now == nil || p.GetId() != person || p.GetInactive() || p.GetMachine() {
		return nil, fmt.Errorf("%w: %s does not stand in for %s now", procedure.ErrStandIn, d.person.GetId(), person)
	}
	turns := slices.Concat(own.GetOnCall(), now.GetOnCall())
	own.Groups = slices.DeleteFunc(own.GetGroups(), func(g string) bool {
		// As with one's own approval, a shift that is needed for nothing is named nowhere.
		idle := !slices.Contains(d.needed(), g) && slices.ContainsFunc(turns, func(s *releasev1.Shift) bool { return s.GetGroup() == g })
		return idle || !slices.Contains(now.GetGroups(), g)
	})
	own.OnCall = frozen(own.GetOnCall(), now.GetOnCall(), own.GetGroups())
	for _, name := range append([]string{person}, through(own)...) {
		if why := d.active.Linked(d.state, name); why != "" {
			return nil, fmt.Errorf("%w: %s", procedure.ErrOwnChange, why)
		}
	}
	return own, nil
}

// through is who the delegations lead through, and to.
func through(s *releasev1.StandIn) []string {
	var out []string
	for _, d := range s.GetDelegations() {
		out = append(out, d.GetStandIn())
	}
	return out
}
