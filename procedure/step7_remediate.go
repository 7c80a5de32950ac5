package procedure

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// RollbackTargets is every touched target, in every wave that was begun, in the order in which
// they go back: what depends on others before these, and otherwise last touched first
// (PD-7.1). The depth of a target is more than that of each target that it depends on.
func RollbackTargets(s State) []string {
	back := slices.Clone(s.Touched)
	slices.Reverse(back)
	slices.SortStableFunc(back, func(a, b string) int { return int(s.Scoped(b).GetDepth()) - int(s.Scoped(a).GetDepth()) })
	return back
}

// DecideRemedy starts the way back, or says that there is none. What a person
// ordered is tried even where the machine would not by itself.
func DecideRemedy(s State, claimer string, leaseUntil, deadline time.Time) *releasev1.Event {
	targets := RollbackTargets(s)
	if ok, why := CanRollBack(s, targets); !ok && !s.Forced {
		return &releasev1.Event{Data: &releasev1.Event_RollbackUnavailable{
			RollbackUnavailable: &releasev1.RollbackUnavailable{Reason: why, Rollback: s.rollback()},
		}}
	}
	return &releasev1.Event{Data: &releasev1.Event_RollbackClaimed{RollbackClaimed: &releasev1.RollbackClaimed{
		Attempt: s.RollbackAttempt + 1, Targets: targets, Claimer: claimer,
		LeaseUntil: timestamppb.New(leaseUntil), Deadline: timestamppb.New(deadline), Rollback: s.rollback(),
	}}}
}

// DecideRolledBack turns what became of every target into the end of the way back.
func DecideRolledBack(s State, results []*releasev1.TargetResult, reason string) *releasev1.Event {
	failed, unknown := false, false
	for _, r := range results {
		switch r.GetStatus() {
		case releasev1.TargetResult_STATUS_DONE:
		case releasev1.TargetResult_STATUS_UNKNOWN:
			unknown = true
		default:
			failed = true
		}
	}
	switch {
	case unknown:
		return &releasev1.Event{Data: &releasev1.Event_ExecutionUnknown{ExecutionUnknown: &releasev1.ExecutionUnknown{
			Wave: s.Wave, Attempt: s.RollbackAttempt, Results: results, Reason: reason, Rollback: true,
		}}}
	case failed:
		return &releasev1.Event{Data: &releasev1.Event_RollbackFailed{RollbackFailed: &releasev1.RollbackFailed{
			Attempt: s.RollbackAttempt, Results: results, Reason: reason, Rollback: s.rollback(),
		}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_RolledBack{RolledBack: &releasev1.RolledBack{
		Attempt: s.RollbackAttempt, Results: results, Rollback: s.rollback(),
	}}}
}

func (s *State) applyRollbackClaimed(e Entry, d *releasev1.RollbackClaimed) error {
	if err := s.expect(e, PhaseRemedy, PhaseRollingBack); err != nil {
		return err
	}
	if err := s.ofThis(e, d.GetRollback()); err != nil {
		return err
	}
	switch {
	case d.GetAttempt() != s.RollbackAttempt+1:
		return s.invalid(e, "it is of another attempt")
	case !slices.Equal(d.GetTargets(), RollbackTargets(*s)):
		return s.invalid(e, "its targets are not those that were touched")
	case d.GetClaimer() == "" || d.GetLeaseUntil() == nil || d.GetDeadline() == nil || !e.Stored.Before(d.GetDeadline().AsTime()):
		return s.invalid(e, "claimer, lease or deadline is missing or over")
	}
	if s.Phase == PhaseRollingBack {
		if ok, _ := MayTakeOver(*s, d.GetTargets(), e.Stored); !ok {
			return s.invalid(e, "another executor holds it")
		}
	} else if ok, why := CanRollBack(*s, d.GetTargets()); !ok && !s.Forced {
		return s.invalid(e, why)
	}
	if err := s.quarantines(e, d.GetQuarantined()); err != nil {
		return err
	}
	s.RollbackAttempt = d.GetAttempt()
	s.Claim = Claim{
		Claimer: d.GetClaimer(), LeaseUntil: d.GetLeaseUntil().AsTime(), Deadline: d.GetDeadline().AsTime(), Sequence: e.Sequence,
	}
	if s.Phase != PhaseRollingBack {
		s.enter(PhaseRollingBack, e.Stored)
	}
	return nil
}

func (s *State) ofRollback(e Entry, rollback string, attempt uint32) error {
	if err := s.expect(e, PhaseRollingBack); err != nil {
		return err
	}
	if err := s.ofThis(e, rollback); err != nil {
		return err
	}
	if attempt != s.RollbackAttempt {
		return s.invalid(e, "it is of another attempt")
	}
	return nil
}

func (s *State) applyRolledBack(e Entry, d *releasev1.RolledBack) error {
	if err := s.ofRollback(e, d.GetRollback(), d.GetAttempt()); err != nil {
		return err
	}
	if why := unknownTarget(d.GetResults(), s.Touched); why != "" {
		return s.invalid(e, why)
	}
	done := map[string]bool{}
	for _, r := range d.GetResults() {
		done[r.GetTarget()] = r.GetStatus() == releasev1.TargetResult_STATUS_DONE
	}
	for _, t := range s.Touched {
		if !done[t] {
			return s.invalid(e, "target "+t+" did not go back")
		}
	}
	s.setResults(d.GetResults())
	s.Claim = Claim{}
	s.enter(PhaseVerifyRollback, e.Stored)
	return nil
}

func (s *State) applyRollbackFailed(e Entry, d *releasev1.RollbackFailed) error {
	if err := s.ofRollback(e, d.GetRollback(), d.GetAttempt()); err != nil {
		return err
	}
	if why := unknownTarget(d.GetResults(), s.Touched); why != "" {
		return s.invalid(e, why)
	}
	s.setResults(d.GetResults())
	s.escalate(releasev1.Cause_CAUSE_ROLLBACK_FAILED, true, e.Stored)
	return nil
}

func (s *State) applyRollbackUnavailable(e Entry, d *releasev1.RollbackUnavailable) error {
	if err := s.expect(e, PhaseRemedy); err != nil {
		return err
	}
	if err := s.ofThis(e, d.GetRollback()); err != nil {
		return err
	}
	if d.GetReason() == "" {
		return s.invalid(e, "it names no reason")
	}
	if err := s.quarantines(e, d.GetQuarantined()); err != nil {
		return err
	}
	s.escalate(releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE, false, e.Stored)
	return nil
}
