package procedure

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lead returns the standing that an event leads to, which is stored at that time, or why
// the event may not happen.
func lead(before *releasev1.ProcedureStanding, e *releasev1.Event, at time.Time) (*releasev1.ProcedureStanding, error) {
	after := proto.CloneOf(before)
	switch d := e.GetData().(type) {
	case *releasev1.Event_ProcedureProposed:
		return after, leadProposed(after, e.GetActor(), d.ProcedureProposed.GetProposal(), at)
	case *releasev1.Event_ProcedureApproved:
		return after, leadApproved(after, e.GetActor(), d.ProcedureApproved, at)
	case *releasev1.Event_ProcedureApprovalWithdrawn:
		return after, leadApprovalWithdrawn(after, e.GetActor(), d.ProcedureApprovalWithdrawn)
	case *releasev1.Event_ProcedureProposalClosed:
		return after, leadClosed(after, e.GetActor(), d.ProcedureProposalClosed)
	case *releasev1.Event_ProcedureReviewed:
		return after, leadReviewed(after, e.GetActor(), d.ProcedureReviewed)
	case *releasev1.Event_ProcedureActivated:
		return after, leadActivated(after, e.GetActor(), d.ProcedureActivated, at)
	}
	return before, fmt.Errorf("%w: %s does not belong to a procedure document", ErrInvalidTransition, TypeOf(e))
}

func leadProposed(s *releasev1.ProcedureStanding, actor *releasev1.Actor, p *releasev1.ProcedureProposal, at time.Time) error {
	switch {
	case !person(actor) || actor.GetId() != p.GetProposer():
		return ErrNotHuman
	case s.GetDigest() == "":
		return fmt.Errorf("%w: no document is in effect", ErrInvalidTransition)
	case p.GetBaseDigest() != s.GetDigest():
		return ErrOtherBase
	case p.GetDigest() == "" || p.GetVersion() == "" || p.GetReason() == "":
		return fmt.Errorf("%w: digest, version or reason is missing", ErrInvalidTransition)
	case p.GetDigest() == s.GetDigest():
		return fmt.Errorf("%w: it is the document in effect", ErrInvalidTransition)
	case p.GetNumber() != s.GetProposed()+1:
		return fmt.Errorf("%w: its number is not the next one", ErrInvalidTransition)
	case p.GetQuorum().GetGroup() == "" || p.GetQuorum().GetCount() == 0 || len(p.GetApprovals()) > 0:
		return fmt.Errorf("%w: it does not wait for anybody's approval", ErrInvalidTransition)
	case !compares(p.GetComparison()):
		return fmt.Errorf("%w: what it says of past releases does not add up", ErrInvalidTransition)
	case !near(p.GetProposed(), at):
		return ErrClockSkew
	case !at.Before(p.GetExpires().AsTime()):
		return ErrProposalExpired
	}
	// What has expired makes room. That is judged by the proposal's own time, so that it
	// does not depend on how long the event took to be stored.
	s.Proposals = slices.DeleteFunc(s.GetProposals(), func(o *releasev1.ProcedureProposal) bool {
		return ProposalExpired(o, p.GetProposed().AsTime())
	})
	if len(s.GetProposals()) >= MaxProposals {
		return fmt.Errorf("%w: %d", ErrTooManyProposals, len(s.GetProposals()))
	}
	for _, o := range s.GetProposals() {
		if o.GetDigest() == p.GetDigest() {
			return fmt.Errorf("%w, as number %d", ErrProposedAlready, o.GetNumber())
		}
	}
	s.Proposed, s.Proposals = p.GetNumber(), append(s.Proposals, proto.CloneOf(p))
	return nil
}

func leadApproved(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureApproved, at time.Time) error {
	p, err := open(s, d.GetProposal(), d.GetDigest(), at)
	if err != nil {
		return err
	}
	if err := mayApprove(p, actor, at); err != nil {
		return err
	}
	a := d.GetApproval()
	switch {
	case a.GetPerson() != actor.GetId():
		return ErrNotHuman
	case a.GetOwnRights() != slices.Contains(p.GetWidened(), a.GetPerson()):
		return fmt.Errorf("%w: it does not say whether the approver's own rights are widened", ErrInvalidTransition)
	case !near(a.GetGiven(), at):
		return ErrClockSkew
	case !at.Before(a.GetExpires().AsTime()):
		return ErrTooLate
	}
	// One that has expired is renewed.
	p.Approvals = append(slices.DeleteFunc(p.GetApprovals(), by(a.GetPerson())), proto.CloneOf(a))
	return nil
}

func leadApprovalWithdrawn(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureApprovalWithdrawn) error {
	p := proposal(s, d.GetProposal())
	switch {
	case p == nil:
		return fmt.Errorf("%w: %d", ErrNoProposal, d.GetProposal())
	case !person(actor):
		return ErrNotHuman
	case d.GetReason() == "":
		return fmt.Errorf("%w: the reason is missing", ErrInvalidTransition)
	case !slices.ContainsFunc(p.GetApprovals(), by(actor.GetId())):
		return fmt.Errorf("%w: %s has not approved it", ErrInvalidTransition, actor.GetId())
	}
	p.Approvals = slices.DeleteFunc(p.GetApprovals(), by(actor.GetId()))
	return nil
}

func leadClosed(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureProposalClosed) error {
	p := proposal(s, d.GetProposal())
	switch {
	case p == nil:
		return fmt.Errorf("%w: %d", ErrNoProposal, d.GetProposal())
	case !person(actor):
		return ErrNotHuman
	case d.GetReason() == "":
		return fmt.Errorf("%w: the reason is missing", ErrInvalidTransition)
	}
	switch d.GetResult() {
	case releasev1.ProcedureProposalClosed_RESULT_WITHDRAWN:
		if actor.GetId() != p.GetProposer() {
			return fmt.Errorf("%w: only %s, who proposed it, takes it back", ErrNotApprover, p.GetProposer())
		}
	case releasev1.ProcedureProposalClosed_RESULT_REJECTED:
		if !slices.Contains(actor.GetGroups(), p.GetQuorum().GetGroup()) {
			return fmt.Errorf("%w: %s is not in %s", ErrNotApprover, actor.GetId(), p.GetQuorum().GetGroup())
		}
	default:
		return fmt.Errorf("%w: it does not say how the proposal ended", ErrInvalidTransition)
	}
	s.Proposals = slices.DeleteFunc(s.GetProposals(), func(o *releasev1.ProcedureProposal) bool { return o == p })
	return nil
}

func leadActivated(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureActivated, at time.Time) error {
	switch {
	case d.GetProposal() != 0 && proposal(s, d.GetProposal()) == nil:
		return fmt.Errorf("%w: %d", ErrNoProposal, d.GetProposal())
	case d.GetDigest() == "" || d.GetVersion() == "" || d.GetReason() == "":
		return fmt.Errorf("%w: digest, version or reason is missing", ErrInvalidTransition)
	case d.GetPreviousDigest() != s.GetDigest():
		return ErrOtherBase
	case d.GetDigest() == s.GetDigest():
		return fmt.Errorf("%w: it is the document in effect", ErrInvalidTransition)
	}
	var err error
	if d.GetProposal() == 0 {
		err = administrative(s, actor, d)
	} else {
		err = approved(s, actor, d, at)
	}
	if err != nil {
		return err
	}
	if !slices.Equal(d.GetVoided(), voided(s, d.GetProposal())) {
		return fmt.Errorf("%w: it does not name the proposals that are void with it", ErrInvalidTransition)
	}
	if err := owe(s, d, at); err != nil {
		return err
	}
	s.Version, s.Digest, s.Proposals = d.GetVersion(), d.GetDigest(), nil
	return nil
}

// administrative is the way around: no person's doing, but that of whoever holds the
// service's own key.
func administrative(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureActivated) error {
	want := releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE
	if s.GetDigest() == "" {
		want = releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST
	}
	switch {
	case actor.GetKind() != releasev1.Actor_KIND_SERVICE:
		return fmt.Errorf("%w: a person needs a proposal that is approved", ErrInvalidTransition)
	case d.GetAdministrative() != want || len(d.GetApprovals()) > 0:
		return fmt.Errorf("%w: it does not say that it is an administrator's doing", ErrInvalidTransition)
	}
	return nil
}

// approved is the right way.
func approved(s *releasev1.ProcedureStanding, actor *releasev1.Actor, d *releasev1.ProcedureActivated, at time.Time) error {
	p, err := open(s, d.GetProposal(), d.GetDigest(), at)
	if err != nil {
		return err
	}
	counted, missing := CountProposal(p, at)
	switch {
	case !person(actor):
		return ErrNotHuman
	case actor.GetId() != p.GetProposer() && !slices.Contains(actor.GetGroups(), p.GetQuorum().GetGroup()):
		return fmt.Errorf("%w: %s neither proposed it nor is in %s", ErrNotApprover, actor.GetId(), p.GetQuorum().GetGroup())
	case p.GetComparison().GetUnknown() > 0:
		return fmt.Errorf("%w: nothing is known of %d of %d", ErrNotCompared, p.GetComparison().GetUnknown(), p.GetComparison().GetReleases())
	case missing > 0:
		return fmt.Errorf("%w: %d of %s", ErrApprovalsMissing, missing, p.GetQuorum().GetGroup())
	case d.GetVersion() != p.GetVersion() || d.GetAdministrative() != 0 || d.GetDebt() != nil:
		return fmt.Errorf("%w: it is not what was proposed", ErrInvalidTransition)
	}
	// Those that are named must count now, and be enough.
	named := map[string]bool{}
	for _, a := range d.GetApprovals() {
		if !slices.ContainsFunc(counted, func(c *releasev1.ProcedureApproval) bool { return proto.Equal(a, c) }) {
			return fmt.Errorf("%w: that of %s does not count", ErrApprovalsMissing, a.GetPerson())
		}
		named[a.GetPerson()] = true
	}
	if len(named) < int(p.GetQuorum().GetCount()) {
		return fmt.Errorf("%w: too few are named", ErrApprovalsMissing)
	}
	return nil
}

// compares reports whether a comparison with past releases is none, or one that can be.
func compares(c *releasev1.ProcedureComparison) bool {
	return c == nil || c.GetLast() > 0 && c.GetReleases() <= c.GetLast() && c.GetDigest() != "" &&
		c.GetChanged() <= c.GetReleases() && c.GetUnknown() <= c.GetReleases()-c.GetChanged()
}

// voided are the numbers of all proposals but one.
func voided(s *releasev1.ProcedureStanding, but uint32) []uint32 {
	var all []uint32
	for _, p := range s.GetProposals() {
		if p.GetNumber() != but {
			all = append(all, p.GetNumber())
		}
	}
	return all
}

func by(id string) func(*releasev1.ProcedureApproval) bool {
	return func(a *releasev1.ProcedureApproval) bool { return a.GetPerson() == id }
}

// near reports whether a time that an event tells fits the time of storing.
func near(told *timestamppb.Timestamp, at time.Time) bool {
	t := told.AsTime()
	return told != nil && !t.After(at.Add(maxEarly)) && !t.Before(at.Add(-maxLate))
}
