package procedure

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Reasons for which an approval is not taken (PD-A.1 to PD-A.3).
var (
	// ErrNotPending says that the release does not wait for approvals.
	ErrNotPending = errors.New("release does not wait for approvals")
	// ErrStaleDigest says that something else than the present change was approved.
	ErrStaleDigest = errors.New("approval is not for the present change digest")
	// ErrOwnChange says that people do not approve what they asked for, own or wrote.
	ErrOwnChange = errors.New("nobody approves their own change")
	// ErrNotApprover says that the person is in no group whose approval is needed.
	ErrNotApprover = errors.New("person is in no group whose approval is needed")
	// ErrApprovedAlready says that the person's approval is there and counts.
	ErrApprovedAlready = errors.New("person has approved already")
	// ErrNotHuman says that only people approve.
	ErrNotHuman = errors.New("only a person may approve")
	// ErrTooLate says that the time for approvals is over.
	ErrTooLate = errors.New("the time for approvals is over")
)

// MayApprove reports whether the actor may approve the change with that digest at
// that time; the error says why not. It is asked by the edge, to give a good
// answer, and by Evolve, which is what counts.
func MayApprove(s State, actor *releasev1.Actor, changeDigest string, at time.Time) error {
	return MayApproveFor(s, actor, nil, changeDigest, at)
}

// MayApproveFor is MayApprove in place of somebody else; nil for themselves.
func MayApproveFor(s State, actor *releasev1.Actor, stand *releasev1.StandIn, changeDigest string, at time.Time) error {
	switch {
	case actor.GetKind() != releasev1.Actor_KIND_HUMAN || actor.GetId() == "":
		return ErrNotHuman
	case s.Phase != PhaseApprove:
		return fmt.Errorf("%w: it is in phase %s", ErrNotPending, s.Phase)
	case changeDigest != s.ChangeDigest:
		return fmt.Errorf("%w %s", ErrStaleDigest, s.ChangeDigest)
	case !at.Before(s.ApproveBy):
		return ErrTooLate
	}
	if role := s.ownRole(actor.GetId()); role != "" && !s.Emergency() {
		return fmt.Errorf("%w: %s is %s", ErrOwnChange, actor.GetId(), role)
	}
	whose := actor.GetId()
	if stand != nil {
		if err := MayStandIn(s, stand, actor.GetId()); err != nil {
			return err
		}
		whose = stand.GetPerson()
	} else if !slices.ContainsFunc(s.Quorum, func(q *releasev1.QuorumRule) bool { return slices.Contains(actor.GetGroups(), q.GetGroup()) }) {
		return fmt.Errorf("%w: %s", ErrNotApprover, actor.GetId())
	}
	if i := s.approvalOf(actor.GetId()); (i >= 0 && at.Before(s.Approvals[i].Expires)) || s.usedUp(whose, at) {
		return ErrApprovedAlready
	}
	return nil
}

// Part is what a person is in a change.
type Part struct{ Person, Role string }

// Parts are the parts that people have in the change itself: who has one approves it in
// no lane but the emergency, and reviews it in none (PD-A.1).
func (s State) Parts() []Part {
	parts := []Part{{s.Request.GetRequester(), "the requester"}, {s.Request.GetOwner(), "the owner"}}
	for _, a := range s.Request.GetAuthors() {
		parts = append(parts, Part{a, "an author"})
	}
	for _, v := range s.Gates {
		for _, a := range v.GetAuthors() {
			parts = append(parts, Part{a, "an author, by the evidence of gate " + v.GetGate()})
		}
	}
	return parts
}

// ownRole names the part that a person has in the change itself; empty for none.
func (s State) ownRole(person string) string {
	for _, p := range s.Parts() {
		if p.Person == person {
			return p.Role
		}
	}
	return ""
}

func (s State) approvalOf(person string) int {
	return slices.IndexFunc(s.Approvals, func(a Approval) bool { return a.Person == person })
}

// Count assigns approvals that have not expired to what is needed. One person
// counts once, for one group; among all assignments one that fills the most is
// taken, so that nobody is counted where another could not be. It returns what was
// counted and what is missing.
func Count(s State, at time.Time) (counted []*releasev1.CountedApproval, missing []*releasev1.QuorumRule) {
	var valid []Approval
	for _, a := range s.Approvals {
		if at.Before(a.Expires) {
			valid = append(valid, a)
		}
	}
	var slots []*releasev1.QuorumRule
	for _, q := range s.Quorum {
		for range q.GetCount() {
			slots = append(slots, q)
		}
	}
	// Augmenting paths: taken[i] is the slot of approval i, or -1.
	taken := make([]int, len(valid))
	for i := range taken {
		taken[i] = -1
	}
	var fill func(slot int, seen []bool) bool
	fill = func(slot int, seen []bool) bool {
		for i, a := range valid {
			if seen[i] || !slices.Contains(a.Groups, slots[slot].GetGroup()) || (slots[slot].GetSigned() && !a.byHand()) {
				continue
			}
			seen[i] = true
			if taken[i] < 0 || fill(taken[i], seen) {
				taken[i] = slot
				return true
			}
		}
		return false
	}
	for slot := range slots {
		if !fill(slot, make([]bool, len(valid))) {
			missing = addMissing(missing, slots[slot])
		}
	}
	for i, slot := range taken {
		if slot >= 0 {
			counted = append(counted, &releasev1.CountedApproval{Person: valid[i].Person, Group: slots[slot].GetGroup()})
		}
	}
	return counted, missing
}

// maxQuorum is more people than any rule needs, and few enough to be counted.
const maxQuorum = 100

// askable reports whether a quorum asks for at least one approval: without one,
// nothing that a person said would stand between a request and production.
func askable(quorum []*releasev1.QuorumRule) bool {
	var all uint64
	for _, q := range quorum {
		if q.GetGroup() == "" || q.GetCount() == 0 {
			return false
		}
		all += uint64(q.GetCount())
	}
	return all > 0 && all <= maxQuorum
}

func addMissing(missing []*releasev1.QuorumRule, q *releasev1.QuorumRule) []*releasev1.QuorumRule {
	for _, m := range missing {
		if m.GetGroup() == q.GetGroup() && m.GetSigned() == q.GetSigned() {
			m.Count++
			return missing
		}
	}
	return append(missing, &releasev1.QuorumRule{Group: q.GetGroup(), Count: 1, Signed: q.GetSigned()})
}

// ValidUntil is until when an approval counts that is given at that time, and so an
// authorization that comes of it: for that span, counted from the planned start where
// that is later, because people approve what is to happen then; and at most for as long
// as the release may start (PD-A.3).
func ValidUntil(s State, at time.Time, span time.Duration) time.Time {
	if start := s.Request.GetNotBefore(); start != nil && start.AsTime().After(at) {
		at = start.AsTime()
	}
	until := at.Add(span)
	if last := s.Requested.GetStartBy(); last != nil && last.AsTime().Before(until) {
		until = last.AsTime()
	}
	return until
}

// DecideAuthorize returns the authorization that the approvals amount to at that
// time; nil while they do not suffice. The authorization is valid as long as the
// first of the counted approvals, and at most as ValidUntil says of validFor. In an
// emergency it lists what was bypassed and sets when the review is due (PD-A.5).
func DecideAuthorize(s State, at time.Time, validFor time.Duration, reviewDue time.Time) *releasev1.Event {
	counted, missing := Count(s, at)
	if s.Phase != PhaseApprove || len(missing) > 0 {
		return nil
	}
	until := ValidUntil(s, at, validFor)
	for _, c := range counted {
		if a := s.Approvals[s.approvalOf(c.GetPerson())]; a.Expires.Before(until) {
			until = a.Expires
		}
	}
	d := &releasev1.Authorized{
		ChangeDigest: s.ChangeDigest, Approvals: counted, ValidUntil: timestamppb.New(until),
	}
	if s.Emergency() {
		d.Emergency, d.ReviewDue, d.CourseExcludes = true, timestamppb.New(reviewDue), true
		d.Bypassed = s.bypassedBy(counted)
	}
	return &releasev1.Event{Data: &releasev1.Event_Authorized{Authorized: d}}
}

// given reports whether the counted approvals are there, one of each person, and
// fill the quorum: whose they are decides who may not review later.
func (s State) given(counted []*releasev1.CountedApproval, at time.Time) bool {
	var persons []string
	need, unsigned := map[string]int{}, map[string]int{}
	for _, q := range s.Quorum {
		need[q.GetGroup()] += int(q.GetCount())
		if !q.GetSigned() {
			unsigned[q.GetGroup()] += int(q.GetCount())
		}
	}
	for _, c := range counted {
		i := s.approvalOf(c.GetPerson())
		if i < 0 || slices.Contains(persons, c.GetPerson()) || !at.Before(s.Approvals[i].Expires) ||
			!slices.Contains(s.Approvals[i].Groups, c.GetGroup()) {
			return false
		}
		if !s.Approvals[i].byHand() {
			unsigned[c.GetGroup()]--
		}
		persons = append(persons, c.GetPerson())
		need[c.GetGroup()]--
	}
	for group, n := range need {
		if n != 0 || unsigned[group] < 0 {
			return false
		}
	}
	return true
}

func (s *State) applyApprovalGiven(e Entry, d *releasev1.ApprovalGiven) error {
	a := e.Event.GetActor()
	if err := MayApproveFor(*s, a, d.GetStandIn(), d.GetChangeDigest(), e.Stored); err != nil {
		return s.invalid(e, err.Error())
	}
	if d.GetExpires() == nil || !e.Stored.Before(d.GetExpires().AsTime()) {
		return s.invalid(e, "it has expired already")
	}
	given := given(e, d)
	if err := s.maySign(given, e.Stored); err != nil {
		return s.invalid(e, err.Error())
	}
	kept := slices.DeleteFunc(slices.Clone(s.Approvals), func(o Approval) bool { return o.Person == given.Person })
	s.Approvals = append(kept, given)
	return nil
}

// applyApprovalWithdrawn takes an approval back, until execution starts. Where the
// rest does not suffice, the release waits for approvals again.
func (s *State) applyApprovalWithdrawn(e Entry) error {
	if err := s.expectNotStarted(e); err != nil {
		return err
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	i := s.approvalOf(by)
	if i < 0 {
		return s.invalid(e, by+" has not approved")
	}
	s.forgetSigned(s.Approvals[i])
	s.Approvals = slices.Delete(slices.Clone(s.Approvals), i, i+1)
	if s.Authorized == nil {
		return nil
	}
	if _, missing := Count(*s, e.Stored); len(missing) > 0 {
		s.Authorized = nil
		s.forgetStart()
		s.correct(notComing)
		s.enter(PhaseApprove, e.Stored)
	}
	return nil
}

func (s *State) applyRejected(e Entry, d *releasev1.Rejected) error {
	if err := s.expectNotStarted(e); err != nil {
		return err
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if s.ChangeDigest == "" {
		return s.invalid(e, "there is nothing to decide yet")
	}
	groups := e.Event.GetActor().GetGroups()
	if !slices.ContainsFunc(s.Quorum, func(q *releasev1.QuorumRule) bool { return slices.Contains(groups, q.GetGroup()) }) {
		return s.invalid(e, by+" is in no group whose approval is needed")
	}
	s.end(releasev1.Outcome_OUTCOME_REJECTED, by, d.GetReason(), e.Stored)
	return nil
}

func (s *State) applyAuthorized(e Entry, d *releasev1.Authorized) error {
	if err := s.expect(e, PhaseApprove); err != nil {
		return err
	}
	if d.GetChangeDigest() != s.ChangeDigest {
		return s.invalid(e, "it is for another change digest")
	}
	if _, missing := Count(*s, e.Stored); len(missing) > 0 {
		return s.invalid(e, "approvals are missing")
	}
	if !s.given(d.GetApprovals(), e.Stored) {
		return s.invalid(e, "it counts approvals that were not given, or not all that are needed")
	}
	if d.GetValidUntil() == nil || !e.Stored.Before(d.GetValidUntil().AsTime()) {
		return s.invalid(e, "it is valid no longer")
	}
	if d.GetEmergency() != s.Emergency() {
		return s.invalid(e, "it is for another lane")
	}
	if s.Emergency() {
		if d.GetReviewDue() == nil || !e.Stored.Before(d.GetReviewDue().AsTime()) {
			return s.invalid(e, "an emergency owes a review")
		}
		if !slices.Equal(d.GetBypassed(), s.bypassedBy(d.GetApprovals())) {
			return s.invalid(e, "it does not list what was bypassed")
		}
		s.startDebt(e, d)
	}
	s.Authorized = d
	s.want(releasev1.Occasion_OCCASION_START, 1)
	s.enter(PhaseNotify, e.Stored)
	return nil
}
