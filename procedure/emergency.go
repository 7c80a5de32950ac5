package procedure

import (
	"fmt"
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// bypassedBy lists every control that an emergency authorization by these
// approvals goes around: those of the steps before it, and the separations of duty,
// for alone at night one person is requester and approver.
func (s State) bypassedBy(counted []*releasev1.CountedApproval) []string {
	out := slices.Clone(s.Bypassed)
	for _, c := range counted {
		role := s.ownRole(c.GetPerson())
		if role == "" {
			continue
		}
		if b := fmt.Sprintf("separation of duties: %s is %s", c.GetPerson(), role); !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// bypass adds controls that an emergency goes around when it starts: what was declared
// since it was authorized is on record as well (PD-A.5).
func (s *State) bypass(controls []string) {
	out := slices.Clone(s.Bypassed)
	for _, b := range controls {
		if !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	s.Bypassed = out
}

// startDebt opens what an emergency costs: people are called at once, stakeholders
// told, and a review is owed (PD-A.5).
func (s *State) startDebt(e Entry, d *releasev1.Authorized) {
	s.Bypassed = d.GetBypassed()
	s.ReviewDue = d.GetReviewDue().AsTime()
	s.raise(releasev1.Cause_CAUSE_EMERGENCY_BYPASS, e.Stored)
	s.want(releasev1.Occasion_OCCASION_EMERGENCY, 1)
}

// applyReviewCompleted pays the debt. The reviewer is somebody else than whoever
// asked for, owned, wrote, authorized or steered the emergency.
func (s *State) applyReviewCompleted(e Entry, d *releasev1.ReviewCompleted) error {
	if !s.ReviewOwed() {
		return s.invalid(e, "no review is owed")
	}
	if !s.Recorded {
		return s.invalid(e, "the release is not over")
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if role := s.ReviewConflict(by); role != "" {
		return s.invalid(e, by+" is "+role+" and may not review")
	}
	if d.GetResult() == releasev1.ReviewCompleted_RESULT_UNSPECIFIED || strings.TrimSpace(d.GetResidualRisk()) == "" {
		return s.invalid(e, "a review states its result and the residual risk")
	}
	s.Review, s.ReviewedBy = d, by
	s.agree(e, by, d.GetFollowUps()...)
	s.settled(releasev1.Cause_CAUSE_REVIEW_OVERDUE, by)
	return nil
}

// decided notes who decided about the course of a release that was under way.
func (s *State) decided(by string) {
	if !slices.Contains(s.Deciders, by) {
		s.Deciders = append(slices.Clip(s.Deciders), by)
	}
}

// courseOf names what a person decided about the course of the emergency: nobody judges
// afterwards what they did themselves (PD-A.5).
func (s State) courseOf(person string) string {
	if slices.Contains(s.Deciders, person) {
		return "who decided about its course"
	}
	if slices.ContainsFunc(s.Overrides, func(o Override) bool { return o.Person == person }) {
		return "who made an exception for it"
	}
	return ""
}

// ReviewConflict names the part that a person had in the emergency; empty where
// the person may review it.
func (s State) ReviewConflict(person string) string {
	if role := s.ownRole(person); role != "" {
		return role
	}
	for _, c := range s.Authorized.GetApprovals() {
		if c.GetPerson() == person {
			return "who authorized it"
		}
	}
	if s.approvalOf(person) >= 0 {
		return "who approved it"
	}
	if slices.ContainsFunc(s.Approvals, func(a Approval) bool { return a.by() == person }) {
		return "for whom it was approved"
	}
	if s.Authorized.GetCourseExcludes() {
		return s.courseOf(person)
	}
	return ""
}
