package procedure

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxProposals bounds how many changes of a procedure document are open at a time:
// every event of its history carries all of them.
const MaxProposals = 8

// Reasons for which something does not happen to a procedure document (PD-9.4).
var (
	// ErrNoProposal says that no open proposal has that number: there never was one, or
	// it was rejected, withdrawn or activated, or another document took effect.
	ErrNoProposal = errors.New("there is no such open proposal")
	// ErrOtherBase says that another document is in effect than the one that was changed.
	ErrOtherBase = errors.New("another document is in effect than the one that was changed")
	// ErrOtherDocument says that the proposal is of another document than the one that
	// was looked at.
	ErrOtherDocument = errors.New("the proposal is of another document")
	// ErrOwnProposal says that people do not approve what they proposed.
	ErrOwnProposal = errors.New("nobody approves their own proposal")
	// ErrProposalExpired says that the time of the proposal is over.
	ErrProposalExpired = errors.New("the time of the proposal is over")
	// ErrApprovalsMissing says that not enough people approve the proposal now.
	ErrApprovalsMissing = errors.New("approvals of the proposal are missing")
	// ErrNotCompared says that nobody knows what the document would have changed of past
	// releases, which the document in effect demands to know.
	ErrNotCompared = errors.New("it is not compared with past releases as the document in effect demands")
	// ErrTooManyProposals says that others have to be decided first.
	ErrTooManyProposals = errors.New("too many proposals are open")
	// ErrProposedAlready says that this document is proposed already.
	ErrProposedAlready = errors.New("this document is proposed already")
	// ErrStanding says that the event carries another standing than it leads to.
	ErrStanding = errors.New("event carries another standing than it leads to")
)

// Document is where the history of a procedure document stands (PD-9.4): which one is
// in effect, and which changes people may decide about. There is one way for a document
// to take effect,
//
//	proposed --approved--> approved by enough people --activated--> in effect
//	    \________________________\____________________ rejected, withdrawn, expired, void
//
// and an administrator's way around it: for the first one, and where nobody can go the
// right way any more. Whichever takes effect voids every other proposal, which was made
// against a document that is in effect no longer. Of one that went around the change control
// a review is owed, which other documents that take effect do not pay. Nothing waits for a proposal, and so
// its end needs no timer: after its time nobody can do anything with it.
type Document struct {
	// Aggregate is the name of the history, "pol.…".
	Aggregate string
	// Head is the newest event that counts.
	Head Head
	// Standing is never nil, and must not be changed.
	Standing *releasev1.ProcedureStanding
}

// NewDocument is the beginning of the history of the procedure with that id.
func NewDocument(id string) Document {
	return Document{Aggregate: ProcedureAggregate(id), Standing: &releasev1.ProcedureStanding{}}
}

// EvolveDocument returns the document after one more event; with an error the event does
// not count, and the document is the one given. The standing that an event carries must
// be the one that it leads to. Events from before there were proposals carry none, and count
// until the first review is owed.
func EvolveDocument(d Document, e Entry) (Document, error) {
	if err := admits(d.Aggregate, d.Head, e); err != nil {
		return d, err
	}
	after := StandingOf(e.Event)
	activated := e.Event.GetProcedureActivated()
	if activated != nil && activated.GetStanding() == nil && d.Standing.GetForced() > 0 {
		return d, fmt.Errorf("%w: it carries no standing, and would shed the reviews that are owed", ErrInvalidTransition)
	}
	if activated == nil || activated.GetStanding() != nil {
		led, err := lead(d.Standing, e.Event, e.Stored)
		if err != nil {
			return d, err
		}
		if !proto.Equal(led, after) {
			return d, ErrStanding
		}
	}
	return Document{Aggregate: d.Aggregate, Head: Head{Sequence: e.Sequence, Digest: e.Digest}, Standing: after}, nil
}

// StandingOf returns the standing that an event of a procedure document carries; of
// other events an empty one. It is never nil.
func StandingOf(e *releasev1.Event) *releasev1.ProcedureStanding {
	var s *releasev1.ProcedureStanding
	switch d := e.GetData().(type) {
	case *releasev1.Event_ProcedureActivated:
		if s = d.ProcedureActivated.GetStanding(); s == nil {
			s = &releasev1.ProcedureStanding{Version: d.ProcedureActivated.GetVersion(), Digest: d.ProcedureActivated.GetDigest()}
		}
	case *releasev1.Event_ProcedureProposed:
		s = d.ProcedureProposed.GetStanding()
	case *releasev1.Event_ProcedureApproved:
		s = d.ProcedureApproved.GetStanding()
	case *releasev1.Event_ProcedureApprovalWithdrawn:
		s = d.ProcedureApprovalWithdrawn.GetStanding()
	case *releasev1.Event_ProcedureProposalClosed:
		s = d.ProcedureProposalClosed.GetStanding()
	case *releasev1.Event_ProcedureReviewed:
		s = d.ProcedureReviewed.GetStanding()
	}
	if s == nil {
		s = &releasev1.ProcedureStanding{}
	}
	return s
}

// Proposal returns the open proposal with that number, or nil. It may have expired.
func (d Document) Proposal(number uint32) *releasev1.ProcedureProposal {
	return proposal(d.Standing, number)
}

func proposal(s *releasev1.ProcedureStanding, number uint32) *releasev1.ProcedureProposal {
	for _, p := range s.GetProposals() {
		if p.GetNumber() == number {
			return p
		}
	}
	return nil
}

// ProposalExpired reports whether nobody can do anything with the proposal any more.
func ProposalExpired(p *releasev1.ProcedureProposal, at time.Time) bool {
	return !at.Before(p.GetExpires().AsTime())
}

// CountProposal returns the approvals of a proposal that count at that time, and how many
// are missing.
func CountProposal(p *releasev1.ProcedureProposal, at time.Time) (counted []*releasev1.ProcedureApproval, missing uint32) {
	for _, a := range p.GetApprovals() {
		if at.Before(a.GetExpires().AsTime()) {
			counted = append(counted, a)
		}
	}
	if n := uint32(len(counted)); n < p.GetQuorum().GetCount() { //nolint:gosec // There are a few.
		missing = p.GetQuorum().GetCount() - n
	}
	return counted, missing
}

// MayApproveProposal reports whether the actor may approve that document at that time;
// the error says why not.
func MayApproveProposal(d Document, actor *releasev1.Actor, number uint32, digest string, at time.Time) error {
	_, err := open(d.Standing, number, digest, at)
	if err != nil {
		return err
	}
	return mayApprove(proposal(d.Standing, number), actor, at)
}

func mayApprove(p *releasev1.ProcedureProposal, actor *releasev1.Actor, at time.Time) error {
	switch {
	case !person(actor):
		return ErrNotHuman
	case actor.GetId() == p.GetProposer():
		return fmt.Errorf("%w: %s", ErrOwnProposal, actor.GetId())
	case !slices.Contains(actor.GetGroups(), p.GetQuorum().GetGroup()):
		return fmt.Errorf("%w: %s is not in %s", ErrNotApprover, actor.GetId(), p.GetQuorum().GetGroup())
	}
	counted, _ := CountProposal(p, at)
	if slices.ContainsFunc(counted, func(a *releasev1.ProcedureApproval) bool { return a.GetPerson() == actor.GetId() }) {
		return ErrApprovedAlready
	}
	return nil
}

// open returns a proposal about which something can be decided at that time.
func open(s *releasev1.ProcedureStanding, number uint32, digest string, at time.Time) (*releasev1.ProcedureProposal, error) {
	p := proposal(s, number)
	switch {
	case p == nil:
		return nil, fmt.Errorf("%w: %d", ErrNoProposal, number)
	case p.GetDigest() != digest:
		return nil, fmt.Errorf("%w %s", ErrOtherDocument, p.GetDigest())
	case p.GetBaseDigest() != s.GetDigest():
		return nil, ErrOtherBase
	case ProposalExpired(p, at):
		return nil, fmt.Errorf("%w: since %s", ErrProposalExpired, p.GetExpires().AsTime().Format(time.RFC3339))
	}
	return p, nil
}

func person(a *releasev1.Actor) bool {
	return a.GetKind() == releasev1.Actor_KIND_HUMAN && a.GetId() != ""
}
