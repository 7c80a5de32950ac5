package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Question is what people are asked of a release that failed: what becomes of it. It is part
// of PhaseEscalated, and whoever may decide about an escalated release answers it (PD-7.1).
type Question struct {
	// Who is called first.
	Who releasev1.Remedy_Asked
	// Until is when the time to answer is over; zero where nobody is asked.
	Until time.Time
	// Otherwise is what becomes of it then: ACTION_ROLL_BACK or ACTION_ESCALATE.
	Otherwise releasev1.Remedy_Action
}

// Failures are the causes of which the procedure document may say what becomes of a release:
// all that the machine would answer with the way back. What a person has stopped, and what a
// freeze has, was decided already.
var Failures = []releasev1.Cause{
	releasev1.Cause_CAUSE_VALIDATION_FAILED, releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE, releasev1.Cause_CAUSE_EXECUTION_FAILED,
}

// Prescribe adds to the end of a step what the procedure document says of it, where it is a
// failure that the machine would answer with the way back; other events stay as they are, and so
// does the failure of a release of which nothing had begun, or that somebody else's change of a
// target has stopped. The event must be new and of no one else.
func Prescribe(s State, e *releasev1.Event, of func(releasev1.Cause) *releasev1.Remedy) *releasev1.Event {
	if s.Phase != PhaseExecuting && s.Phase != PhaseVerify || s.AbortBy != "" {
		return e
	}
	switch d := e.GetData().(type) {
	case *releasev1.Event_ExecutionFailed:
		if slices.ContainsFunc(d.ExecutionFailed.GetResults(), changedByHand) {
			return e // People decide, whatever the document says.
		}
		// Of what changed nothing there is nothing to be asked.
		if len(s.Begun) > 0 || slices.ContainsFunc(d.ExecutionFailed.GetResults(), func(r *releasev1.TargetResult) bool {
			return r.GetStatus() != releasev1.TargetResult_STATUS_SKIPPED
		}) {
			d.ExecutionFailed.Remedy = of(releasev1.Cause_CAUSE_EXECUTION_FAILED)
		}
	case *releasev1.Event_VerificationFailed:
		d.VerificationFailed.Remedy = of(releasev1.Cause_CAUSE_VALIDATION_FAILED)
	case *releasev1.Event_VerificationInconclusive:
		if d.VerificationInconclusive.GetCountsAsFailure() {
			d.VerificationInconclusive.Remedy = of(releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE)
		}
	}
	return e
}

// prescribed refuses a remedy that says nothing that can be done, or that is there where
// something else decides.
func (s *State) prescribed(e Entry, r *releasev1.Remedy, decided bool) error {
	ends := r.GetOtherwise() == releasev1.Remedy_ACTION_ROLL_BACK || r.GetOtherwise() == releasev1.Remedy_ACTION_ESCALATE
	switch {
	case r == nil:
	case decided || s.AbortBy != "":
		return s.invalid(e, "what becomes of it is decided already")
	case r.GetAction() == releasev1.Remedy_ACTION_ASK && (r.GetWithin().AsDuration() <= 0 || !ends):
		return s.invalid(e, "people are asked without an end")
	case r.GetAction() < releasev1.Remedy_ACTION_ROLL_BACK || r.GetAction() > releasev1.Remedy_ACTION_ESCALATE:
		return s.invalid(e, "its remedy is none")
	}
	return nil
}

// fail is what becomes of a release that failed: it goes back at once, unless the procedure
// document says otherwise. Whether there is a way back that the machine goes by itself is
// judged at the claim of it (CanRollBack), whatever the document says.
func (s *State) fail(cause releasev1.Cause, r *releasev1.Remedy, at time.Time) {
	switch r.GetAction() {
	case releasev1.Remedy_ACTION_ASK:
		s.escalate(cause, false, at)
		s.Question = Question{Who: r.GetAsked(), Until: at.Add(r.GetWithin().AsDuration()), Otherwise: r.GetOtherwise()}
	case releasev1.Remedy_ACTION_ESCALATE:
		s.escalate(cause, false, at)
	case releasev1.Remedy_ACTION_UNSPECIFIED, releasev1.Remedy_ACTION_ROLL_BACK:
		s.raise(cause, at)
		s.remedy(at)
	}
}

// unanswered is what becomes of it when nobody has decided in time. People stay called until
// one of them takes it on, also where it goes back by itself now.
func (s *State) unanswered(at time.Time) {
	otherwise := s.Question.Otherwise
	s.Question = Question{}
	if otherwise == releasev1.Remedy_ACTION_ROLL_BACK {
		s.EscalatedFor = releasev1.Cause_CAUSE_UNSPECIFIED
		s.remedy(at)
		return
	}
	// From here on it is a decision like any other: the next ones are called, and whoever took
	// it on and has not decided is called again.
	s.Reminded = at
	s.raise(s.EscalatedFor, at)
	s.callNext(s.EscalatedFor)
}

// FailedChecks are the checks that failed on any target, in the order of their results.
func FailedChecks(v *releasev1.Verification) (all []string) {
	for _, r := range v.GetResults() {
		if r.GetVerdict() == releasev1.CheckResult_VERDICT_FAIL && !slices.Contains(all, r.GetCheck()) {
			all = append(all, r.GetCheck())
		}
	}
	return all
}

// BothUnhealthy reports whether everything that failed fails as well on every target that was
// looked at and that the release has not touched. Then it is not the release that is at fault,
// and the way back would change nothing. Wherever that cannot be told, it does not say so.
func BothUnhealthy(v *releasev1.Verification) bool {
	failed, beside := FailedChecks(v), v.GetBeside().GetResults()
	fails := map[string][]string{}
	for _, r := range beside {
		if r.GetVerdict() != releasev1.CheckResult_VERDICT_FAIL {
			return false
		}
		fails[r.GetTarget()] = append(fails[r.GetTarget()], r.GetCheck())
	}
	for _, there := range fails {
		for _, c := range failed {
			if !slices.Contains(there, c) {
				return false
			}
		}
	}
	return len(failed) > 0 && len(fails) > 0
}

// untouched refuses a look beside the release that is none: at a target of its own, or on the
// way back.
func (s *State) untouched(e Entry, v *releasev1.Verification) error {
	if v.GetBeside() != nil && v.GetRollback() {
		return s.invalid(e, "on the way back nothing is looked at beside it")
	}
	for _, r := range v.GetBeside().GetResults() {
		if slices.Contains(s.Touched, r.GetTarget()) || s.Scoped(r.GetTarget()) == nil {
			return s.invalid(e, "target "+r.GetTarget()+" is none that it has not touched")
		}
	}
	return nil
}
