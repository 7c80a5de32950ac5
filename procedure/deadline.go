package procedure

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Deadline is a moment at which something happens by itself.
type Deadline struct {
	Kind releasev1.Deadline
	At   time.Time
	// Cause names the escalation, with DEADLINE_ACKNOWLEDGE.
	Cause releasev1.Cause
}

// NextDeadline returns the earliest deadline of the state. Every phase but the end
// has one (N-10): a release that waits, for whatever reason, is looked at in time.
func NextDeadline(s State) (Deadline, bool) {
	if s.Phase == PhaseNone || s.Phase == PhaseClosed {
		return Deadline{}, false
	}
	var next Deadline
	for _, d := range s.deadlines() {
		if next.At.IsZero() || d.At.Before(next.At) {
			next = d
		}
	}
	return next, true
}

// Patience is the time until something that has waited so long is looked at again, or
// people are reminded of it again: the time that was asked for, and later a tenth of
// the time that went by. So a wait of a week takes hundreds of events and not ten
// thousand, and one of years fits into a history; nothing goes on later by more than
// a tenth.
func Patience(asked, waited time.Duration) time.Duration { return max(asked, waited/10) }

// NextLook is when a release that has to wait at that time is looked at again, where
// nobody knows how long the reason will last.
func NextLook(s State, asked time.Duration, at time.Time) time.Time {
	if s.HeldSince.IsZero() {
		return at.Add(asked)
	}
	return at.Add(Patience(asked, at.Sub(s.HeldSince)))
}

func (s State) deadlines() []Deadline {
	t := s.Requested.GetTimeouts()
	after := func(kind releasev1.Deadline, d time.Duration) Deadline {
		from := s.Entered
		if s.Reminded.After(from) {
			from = s.Reminded
		}
		return Deadline{Kind: kind, At: from.Add(Patience(d, from.Sub(s.Entered)))}
	}
	step := after(releasev1.Deadline_DEADLINE_STEP, t.GetStep().AsDuration())
	start := Deadline{Kind: releasev1.Deadline_DEADLINE_START, At: s.startBy()}
	bake := after(releasev1.Deadline_DEADLINE_STEP, s.Request.GetValidation().GetBake().AsDuration()+t.GetVerify().AsDuration())

	var all []Deadline
	switch s.Phase {
	case PhaseNone, PhaseClosed:
	case PhaseHeld:
		all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_HOLD, At: s.HeldUntil})
		if !s.Started() {
			all = append(all, start)
		}
	case PhaseApprove:
		all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_APPROVE, At: s.ApproveBy}, start)
		if !s.RemindAt.IsZero() {
			all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_REMINDER, At: s.RemindAt})
		}
	case PhaseExecute:
		all = append(all, step)
		if !s.Started() {
			all = append(all, start)
		}
	case PhaseExecuting, PhaseRollingBack:
		all = append(all, after(releasev1.Deadline_DEADLINE_STEP, t.GetExecute().AsDuration()))
	case PhaseVerify, PhaseVerifyRollback:
		all = append(all, bake)
	case PhaseEscalated, PhaseFollowUp:
		if !s.Question.Until.IsZero() {
			all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_REMEDY, At: s.Question.Until})
			break
		}
		all = append(all, after(releasev1.Deadline_DEADLINE_DECISION, t.GetDecision().AsDuration()))
	case PhaseNotify:
		// Machines have the time of a step, people that of the document; the start ends it.
		switch by := s.acknowledgeBy(); {
		case len(Unacknowledged(s)) == 0:
			all = append(all, step)
		case by.IsZero():
			all = append(all, start)
		default:
			all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_NOTICE, At: by}, start)
		}
	case PhaseGates, PhaseScope, PhasePreview, PhaseRisk, PhaseRemedy, PhaseRelease, PhaseRecord:
		all = append(all, step)
	}
	for _, x := range s.Escalations {
		if x.AcknowledgedBy == "" && !x.CallNext {
			all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_ACKNOWLEDGE, At: x.AcknowledgeBy, Cause: x.Cause})
		}
	}
	if d, ok := s.nextDeferred(); ok {
		all = append(all, d)
	}
	if s.ReviewOwed() && !s.ReviewOverdue {
		all = append(all, Deadline{Kind: releasev1.Deadline_DEADLINE_REVIEW, At: s.ReviewDue})
	}
	return all
}

// DecideDeadline returns what happens because the state's next deadline has
// passed; nil where none has. Deadlines of people's decisions before execution end
// the release, all others call people or let it go on.
func DecideDeadline(s State, at time.Time) *releasev1.Event {
	d, ok := NextDeadline(s)
	if !ok || at.Before(d.At) {
		return nil
	}
	if ends(d.Kind) {
		return &releasev1.Event{Data: &releasev1.Event_Expired{Expired: &releasev1.Expired{Deadline: d.Kind}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_DeadlinePassed{DeadlinePassed: &releasev1.DeadlinePassed{
		Deadline: d.Kind, Due: timestamppb.New(d.At), Cause: d.Cause,
	}}}
}

func ends(k releasev1.Deadline) bool {
	return k == releasev1.Deadline_DEADLINE_APPROVE || k == releasev1.Deadline_DEADLINE_START
}

func (s *State) applyExpired(e Entry, d *releasev1.Expired) error {
	if err := s.expectNotStarted(e); err != nil {
		return err
	}
	next, ok := s.passed(d.GetDeadline(), releasev1.Cause_CAUSE_UNSPECIFIED, e.Stored)
	if !ok || !ends(next.Kind) {
		return s.invalid(e, "the deadline is not that of the release, or has not passed")
	}
	reason := "nobody approved it in time"
	if next.Kind == releasev1.Deadline_DEADLINE_START {
		reason = "it could not be started in time"
	}
	s.end(releasev1.Outcome_OUTCOME_EXPIRED, "", reason, e.Stored)
	return nil
}

// passed finds the deadline that an event speaks of among those of the state that
// have passed. The clock is the server's: a timer that fires early changes nothing.
func (s *State) passed(kind releasev1.Deadline, cause releasev1.Cause, at time.Time) (Deadline, bool) {
	for _, d := range s.deadlines() {
		if d.Kind == kind && d.Cause == cause && !at.Before(d.At) {
			return d, true
		}
	}
	return Deadline{}, false
}

func (s *State) applyDeadlinePassed(e Entry, d *releasev1.DeadlinePassed) error {
	next, ok := s.passed(d.GetDeadline(), d.GetCause(), e.Stored)
	if !ok || ends(next.Kind) || !d.GetDue().AsTime().Equal(next.At) {
		return s.invalid(e, "the deadline is not that of the release, or has not passed")
	}
	switch next.Kind {
	case releasev1.Deadline_DEADLINE_HOLD:
		s.Holds, s.HeldUntil = nil, time.Time{}
		s.enter(s.HeldFor, e.Stored)
	case releasev1.Deadline_DEADLINE_STEP:
		s.Reminded = e.Stored
		s.raise(releasev1.Cause_CAUSE_STEP_OVERDUE, e.Stored)
		if s.Phase == PhaseExecute {
			s.correct(late)
		}
	case releasev1.Deadline_DEADLINE_NOTICE:
		s.NoticeOverdue = true
		s.raise(releasev1.Cause_CAUSE_NOTICE_UNACKNOWLEDGED, e.Stored)
		if s.followsTimes() {
			s.correct(late)
		}
	case releasev1.Deadline_DEADLINE_REMINDER:
		s.remindOfApprovals()
	case releasev1.Deadline_DEADLINE_DEFERRED:
		s.deferredDue(e.Stored)
	case releasev1.Deadline_DEADLINE_ACKNOWLEDGE:
		s.callNext(next.Cause)
	case releasev1.Deadline_DEADLINE_REVIEW:
		s.ReviewOverdue = true
		s.raise(releasev1.Cause_CAUSE_REVIEW_OVERDUE, e.Stored)
	case releasev1.Deadline_DEADLINE_DECISION:
		s.Reminded = e.Stored
		s.remind(e.Stored)
	case releasev1.Deadline_DEADLINE_REMEDY:
		s.unanswered(e.Stored)
	case releasev1.Deadline_DEADLINE_UNSPECIFIED, releasev1.Deadline_DEADLINE_APPROVE, releasev1.Deadline_DEADLINE_START:
		return s.invalid(e, "the deadline ends the release")
	}
	return nil
}

func (s *State) callNext(cause releasev1.Cause) {
	all := append([]Escalation(nil), s.Escalations...)
	for i := range all {
		if all[i].Cause == cause && all[i].AcknowledgedBy == "" {
			all[i].CallNext = true
		}
	}
	s.Escalations = all
}

// remind calls people again for what was taken on and is still not settled.
func (s *State) remind(at time.Time) {
	switch {
	case s.Phase == PhaseEscalated:
		s.raise(s.EscalatedFor, at)
	case s.ReviewOwed() && s.ReviewOverdue:
		s.raise(releasev1.Cause_CAUSE_REVIEW_OVERDUE, at)
	case len(s.Wanted)+len(DueNotice(*s)) > 0:
		s.raise(releasev1.Cause_CAUSE_STEP_OVERDUE, at)
	}
	// What nobody has taken on has a ladder of its own.
	if s.Phase == PhaseFollowUp && slices.ContainsFunc(s.Escalations, func(x Escalation) bool { return s.unclosed(x) && x.AcknowledgedBy != "" }) {
		s.raise(releasev1.Cause_CAUSE_INCIDENT_UNCLOSED, at)
	}
}
