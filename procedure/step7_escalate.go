package procedure

import (
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DueCalls returns the escalations whose next rung is to be called now.
func DueCalls(s State) []Escalation {
	return slices.DeleteFunc(slices.Clone(s.Escalations), func(x Escalation) bool {
		return x.AcknowledgedBy != "" || !x.CallNext
	})
}

// applyEscalated notes that a rung was called.
func (s *State) applyEscalated(e Entry, d *releasev1.Escalated) error {
	i := slices.IndexFunc(s.Escalations, func(x Escalation) bool { return x.Cause == d.GetCause() })
	switch {
	case i < 0:
		return s.invalid(e, "nobody is to be called for this")
	case s.Escalations[i].AcknowledgedBy != "" || !s.Escalations[i].CallNext:
		return s.invalid(e, "the next rung is not due")
	case d.GetRung() != s.Escalations[i].Rung+1 || len(d.GetTo()) == 0 || d.GetAcknowledgeBy() == nil:
		return s.invalid(e, "rung, people or deadline is wrong")
	}
	s.Escalations = slices.Clone(s.Escalations)
	x := &s.Escalations[i]
	x.Rung, x.CallNext, x.AcknowledgeBy = d.GetRung(), false, d.GetAcknowledgeBy().AsTime()
	// The cause is in the number, because two ladders may stand beside each other.
	s.want(releasev1.Occasion_OCCASION_ESCALATION, uint32(d.GetCause())*1000+d.GetRung()) //nolint:gosec // Causes are small and positive.
	return nil
}

// applyAcknowledged is a person who takes a call on. There is a reason, but in releases of before
// one was demanded (PD-7.2). In those of before closing was demanded an incident may end with it.
func (s *State) applyAcknowledged(e Entry, d *releasev1.Acknowledged) error {
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if s.Requested.GetReasonsDemanded() && strings.TrimSpace(d.GetComment()) == "" {
		return s.invalid(e, "its comment names no reason")
	}
	i := slices.IndexFunc(s.Escalations, func(x Escalation) bool { return x.Cause == d.GetCause() && x.AcknowledgedBy == "" })
	if i < 0 {
		return s.invalid(e, "there is no open escalation for this cause")
	}
	s.Escalations = slices.Clone(s.Escalations)
	s.Escalations[i].AcknowledgedBy = by
	s.Escalations[i].CallNext = false
	s.takenOn(s.Escalations[i])
	return nil
}

// allDone reports whether every target of the plan is known to carry the artifact.
func (s State) allDone() bool {
	for _, t := range Targets(s.Request) {
		if s.Result(t).GetStatus() != releasev1.TargetResult_STATUS_DONE {
			return false
		}
	}
	return true
}

// Interventions returns what a person may decide about an escalated release.
func Interventions(s State) []releasev1.Intervened_Action {
	if s.Phase != PhaseEscalated {
		return nil
	}
	out := []releasev1.Intervened_Action{releasev1.Intervened_ACTION_ROLL_BACK, releasev1.Intervened_ACTION_ACCEPT}
	// Where a part may have gone back, the wave alone is not the whole plan any more.
	if s.RollbackAttempt == 0 && s.EscalatedFor != releasev1.Cause_CAUSE_EXECUTION_REFUSED {
		out = append(out, releasev1.Intervened_ACTION_RETRY)
	}
	if s.EscalatedFor == releasev1.Cause_CAUSE_OUTCOME_UNKNOWN {
		out = append(out, releasev1.Intervened_ACTION_CONFIRM_DONE)
	}
	return out
}

// confirm takes what nobody knew for done where a person has looked: on the way forth
// the artifact is there, and on the way back what the preview promised. Of targets that
// cannot tell, nothing else will ever say so.
func (s *State) confirm(by string, rollback bool) {
	var seen []*releasev1.TargetResult
	for _, r := range s.Results {
		if r.GetStatus() != releasev1.TargetResult_STATUS_UNKNOWN {
			continue
		}
		digest := s.PrimaryArtifact().GetDigest()
		if rollback {
			digest = s.Preview(r.GetTarget()).GetRollbackDigest()
		}
		seen = append(seen, &releasev1.TargetResult{
			Target: r.GetTarget(), Status: releasev1.TargetResult_STATUS_DONE, Digest: digest,
			Started: r.GetStarted(), Ended: r.GetEnded(), Output: r.GetOutput(), Message: "confirmed by " + by + ", who looked",
		})
	}
	s.setResults(seen)
}

// upToSecond is a time for people, never earlier than it is.
func upToSecond(t time.Time) string {
	return t.Add(time.Second - 1).Truncate(time.Second).UTC().Format(time.RFC3339)
}

// DecideIntervention is what a person orders. To try again that of which nothing has
// begun is to start it: the person who orders it is one, and may be the owner.
func DecideIntervention(s State, action releasev1.Intervened_Action, reason string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Intervened{Intervened: &releasev1.Intervened{
		Action: action, Reason: reason, Anew: action == releasev1.Intervened_ACTION_RETRY && len(s.Begun) == 0,
	}}}
}

// applyIntervened is a person's decision (PD-7.2). Of what an executor left behind
// that was lost it is taken only when its claim is over, by the server's clock: an
// executor that is asleep and not dead could otherwise change a target after a person
// had seen it unchanged and let it go. It also takes on every open
// escalation, because whoever decides has taken it on.
func (s *State) applyIntervened(e Entry, d *releasev1.Intervened) error {
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if !slices.Contains(Interventions(*s), d.GetAction()) {
		return s.invalid(e, d.GetAction().String()+" is not possible here")
	}
	if d.GetReason() == "" {
		return s.invalid(e, "it names no reason")
	}
	if d.GetAnew() && (d.GetAction() != releasev1.Intervened_ACTION_RETRY || len(s.Begun) > 0) {
		return s.invalid(e, "nothing can start anew: it has begun, or it is not tried again")
	}
	if e.Stored.Before(s.DecideFrom) {
		return s.invalid(e, "the executor that was lost may still begin; decide from "+upToSecond(s.DecideFrom)+" on")
	}
	s.decided(by)
	s.Escalations = slices.Clone(s.Escalations)
	for i := range s.Escalations {
		if s.Escalations[i].AcknowledgedBy == "" {
			s.Escalations[i].AcknowledgedBy = by
			s.Escalations[i].CallNext = false
			s.takenOn(s.Escalations[i])
		}
	}
	s.settledBy(by, d.GetAction() == releasev1.Intervened_ACTION_ACCEPT)
	rollback := s.EscalatedRollback
	s.EscalatedFor, s.EscalatedRollback, s.DecideFrom = releasev1.Cause_CAUSE_UNSPECIFIED, false, time.Time{}
	switch d.GetAction() {
	case releasev1.Intervened_ACTION_RETRY:
		s.AbortBy, s.AbortReason, s.Anew = "", "", d.GetAnew()
		s.enter(PhaseExecute, e.Stored)
	case releasev1.Intervened_ACTION_ROLL_BACK:
		s.Forced = true
		s.remedy(e.Stored)
	case releasev1.Intervened_ACTION_CONFIRM_DONE:
		s.confirm(by, rollback)
		switch {
		case rollback:
			s.enter(PhaseVerifyRollback, e.Stored)
		case slices.ContainsFunc(s.Results, changedByHand):
			// Whoever looked at one target has not decided about what is theirs on another.
			s.escalate(releasev1.Cause_CAUSE_MANUAL_CHANGE, false, e.Stored)
		case s.AbortBy != "":
			s.remedy(e.Stored)
		default:
			s.enter(PhaseVerify, e.Stored)
		}
	case releasev1.Intervened_ACTION_ACCEPT, releasev1.Intervened_ACTION_UNSPECIFIED:
		outcome := releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES
		if s.RollbackAttempt > 0 || !s.allDone() {
			outcome = releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED
		}
		s.end(outcome, by, "accepted: "+d.GetReason(), e.Stored)
	}
	return nil
}
