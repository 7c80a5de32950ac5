package procedure

import (
	"fmt"
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Evolve returns the state after one more event. It is the only authority on
// which events count: with an error the event does not, and the state returned is
// the one given. It never panics, whatever the event holds.
func Evolve(s State, e Entry) (State, error) {
	if err := admissible(s, e); err != nil {
		return s, err
	}
	next := s
	if err := next.keepUnkept(e); err != nil {
		return s, err
	}
	if err := next.apply(e); err != nil {
		return s, err
	}
	next.followRollback(s.Phase, e)
	next.Head = Head{Sequence: e.Sequence, Digest: e.Digest}
	next.Events++
	next.settle(e)
	return next, nil
}

// Fold evolves a release from nothing through all of its entries, in the order of
// the stream, and returns the entries that do not count beside the state.
func Fold(release string, entries []Entry) (State, []Rejection) {
	s := State{Release: release}
	var rejected []Rejection
	for _, e := range entries {
		next, err := Evolve(s, e)
		if err != nil {
			rejected = append(rejected, Rejection{Entry: e, Reason: err})
			continue
		}
		s = next
	}
	return s, rejected
}

// admissible holds what is demanded of every event, whatever it says.
func admissible(s State, e Entry) error {
	if err := admits(Aggregate(s.Release), s.Head, e); err != nil {
		return err
	}
	if s.Phase != PhaseNone && e.Event.GetProcedureDigest() != s.ProcedureDigest {
		return ErrProcedure
	}
	return s.judged(e)
}

// admits is the part of it that holds for the events of any aggregate.
func admits(aggregate string, head Head, e Entry) error {
	ev := e.Event
	if ev == nil || ev.GetId() == "" || ev.GetTime() == nil || e.Sequence == 0 || e.Stored.IsZero() {
		return ErrMalformed
	}
	if ev.GetAggregate() != aggregate {
		return fmt.Errorf("%w: %q", ErrForeign, ev.GetAggregate())
	}
	name := TypeOf(ev)
	if name == "" {
		return fmt.Errorf("%w: no data", ErrMalformed)
	}
	if w := WriterOf(name); w != ev.GetWriter() {
		return fmt.Errorf("%w: %s by %q, not %q", ErrWriter, name, ev.GetWriter(), w)
	}
	if !follows(head, e) {
		return ErrNotHead
	}
	at := ev.GetTime().AsTime()
	if at.After(e.Stored.Add(maxEarly)) || at.Before(e.Stored.Add(-maxLate)) {
		return fmt.Errorf("%w: happened %s, stored %s", ErrClockSkew, at, e.Stored)
	}
	return onDuty(e)
}

func follows(head Head, e Entry) bool {
	p := e.Event.GetPrevious()
	if head.Sequence == 0 {
		return p == nil
	}
	return e.Sequence > head.Sequence && p.GetSequence() == head.Sequence && slices.Equal(p.GetSha256(), head.Digest[:])
}

// apply changes the state by what the event says, or says why it may not.
func (s *State) apply(e Entry) error {
	switch d := e.Event.GetData().(type) {
	case *releasev1.Event_Requested:
		return s.applyRequested(e, d.Requested)
	case *releasev1.Event_GatesConfirmed:
		return s.applyGatesConfirmed(e, d.GatesConfirmed)
	case *releasev1.Event_GatesRefused:
		return s.applyGatesRefused(e, d.GatesRefused)
	case *releasev1.Event_ScopeValidated:
		return s.applyScopeValidated(e, d.ScopeValidated)
	case *releasev1.Event_ScopeRefused:
		return s.applyScopeRefused(e, d.ScopeRefused)
	case *releasev1.Event_ChangePreviewed:
		return s.applyChangePreviewed(e, d.ChangePreviewed)
	case *releasev1.Event_PreviewRefused:
		return s.applyPreviewRefused(e, d.PreviewRefused)
	case *releasev1.Event_RiskCleared:
		return s.applyRiskCleared(e, d.RiskCleared)
	case *releasev1.Event_Held:
		return s.applyHeld(e, d.Held)
	case *releasev1.Event_EvidenceAdded:
		return s.applyEvidenceAdded(e, d.EvidenceAdded)
	case *releasev1.Event_GatesHeld:
		return s.applyGatesHeld(e, d.GatesHeld)
	case *releasev1.Event_StartHeld:
		return s.applyStartHeld(e, d.StartHeld)
	case *releasev1.Event_TargetFreed:
		return s.applyTargetFreed(e, d.TargetFreed)
	case *releasev1.Event_RiskRefused:
		return s.applyRiskRefused(e, d.RiskRefused)
	case *releasev1.Event_ApprovalGiven:
		return s.applyApprovalGiven(e, d.ApprovalGiven)
	case *releasev1.Event_ApprovalWithdrawn:
		return s.applyApprovalWithdrawn(e)
	case *releasev1.Event_Rejected:
		return s.applyRejected(e, d.Rejected)
	case *releasev1.Event_Authorized:
		return s.applyAuthorized(e, d.Authorized)
	case *releasev1.Event_Withdrawn:
		return s.applyWithdrawn(e, d.Withdrawn)
	case *releasev1.Event_Superseded:
		return s.applySuperseded(e, d.Superseded)
	case *releasev1.Event_Expired:
		return s.applyExpired(e, d.Expired)
	case *releasev1.Event_Notified:
		return s.applyNotified(e, d.Notified)
	case *releasev1.Event_ImpactReported:
		return s.applyImpactReported(e, d.ImpactReported)
	case *releasev1.Event_UnrecordedChange:
		return s.applyUnrecordedChange(e, d.UnrecordedChange)
	case *releasev1.Event_VerificationRevoked:
		return s.applyVerificationRevoked(e, d.VerificationRevoked)
	case *releasev1.Event_Reverified:
		return s.applyReverified(e, d.Reverified)
	case *releasev1.Event_AuthorizationRefused:
		return s.applyAuthorizationRefused(e, d.AuthorizationRefused)
	case *releasev1.Event_NoticeAcknowledged:
		return s.applyNoticeAcknowledged(e, d.NoticeAcknowledged)
	case *releasev1.Event_ExecutionClaimed:
		return s.applyExecutionClaimed(e, d.ExecutionClaimed)
	case *releasev1.Event_ExecutionFinished:
		return s.applyExecutionFinished(e, d.ExecutionFinished)
	case *releasev1.Event_ExecutionFailed:
		return s.applyExecutionFailed(e, d.ExecutionFailed)
	case *releasev1.Event_ExecutionUnknown:
		return s.applyExecutionUnknown(e, d.ExecutionUnknown)
	case *releasev1.Event_ExecutionRefused:
		return s.applyExecutionRefused(e, d.ExecutionRefused)
	case *releasev1.Event_TargetsReleased:
		return s.applyTargetsReleased(e, d.TargetsReleased)
	case *releasev1.Event_VerificationPassed:
		return s.applyVerificationPassed(e, d.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		return s.applyVerificationFailed(e, d.VerificationFailed)
	case *releasev1.Event_VerificationInconclusive:
		return s.applyVerificationInconclusive(e, d.VerificationInconclusive)
	case *releasev1.Event_RollbackClaimed:
		return s.applyRollbackClaimed(e, d.RollbackClaimed)
	case *releasev1.Event_RolledBack:
		return s.applyRolledBack(e, d.RolledBack)
	case *releasev1.Event_RollbackFailed:
		return s.applyRollbackFailed(e, d.RollbackFailed)
	case *releasev1.Event_RollbackUnavailable:
		return s.applyRollbackUnavailable(e, d.RollbackUnavailable)
	case *releasev1.Event_Escalated:
		return s.applyEscalated(e, d.Escalated)
	case *releasev1.Event_Acknowledged:
		return s.applyAcknowledged(e, d.Acknowledged)
	case *releasev1.Event_IncidentClosed:
		return s.applyIncidentClosed(e, d.IncidentClosed)
	case *releasev1.Event_Intervened:
		return s.applyIntervened(e, d.Intervened)
	case *releasev1.Event_Aborted:
		return s.applyAborted(e, d.Aborted)
	case *releasev1.Event_Paused:
		return s.applyPaused(e, d.Paused)
	case *releasev1.Event_Resumed:
		return s.applyResumed(e, d.Resumed)
	case *releasev1.Event_SignOffWanted:
		return s.applySignOffWanted(e, d.SignOffWanted)
	case *releasev1.Event_SignedOff:
		return s.applySignedOff(e, d.SignedOff)
	case *releasev1.Event_DeadlinePassed:
		return s.applyDeadlinePassed(e, d.DeadlinePassed)
	case *releasev1.Event_Recorded:
		return s.applyRecorded(e, d.Recorded)
	case *releasev1.Event_ReviewCompleted:
		return s.applyReviewCompleted(e, d.ReviewCompleted)
	case *releasev1.Event_FollowUpAdded:
		return s.applyFollowUpAdded(e, d.FollowUpAdded)
	case *releasev1.Event_FollowUpClosed:
		return s.applyFollowUpClosed(e, d.FollowUpClosed)
	case *releasev1.Event_FreezeOverridden:
		return s.applyFreezeOverridden(e, d.FreezeOverridden)
	case *releasev1.Event_ExecutionOverrun:
		return s.applyExecutionOverrun(e, d.ExecutionOverrun)
	}
	return fmt.Errorf("%w: not an event of a release", ErrMalformed)
}

// settle closes a release that owes nothing any more.
func (s *State) settle(e Entry) {
	if s.Phase == PhaseFollowUp && len(s.Wanted)+len(s.Deferred) == 0 && len(s.OpenEscalations()) == 0 && len(Unclosed(*s)) == 0 && !s.ReviewOwed() {
		s.enter(PhaseClosed, e.Stored)
	}
}

// invalid says that the event may not happen in this phase.
func (s *State) invalid(e Entry, why string) error {
	return invalidTransition{event: TypeOf(e.Event), phase: s.Phase, why: why}
}

// invalidTransition is ErrInvalidTransition of one event. Its words are put together when
// somebody reads them: whoever asks what may happen next is refused most of it.
type invalidTransition struct {
	event string
	phase Phase
	why   string
}

// Error implements error.
func (i invalidTransition) Error() string {
	return fmt.Sprintf("%v: %s in phase %s: %s", ErrInvalidTransition, i.event, i.phase, i.why)
}

// Unwrap says of what kind it is.
func (invalidTransition) Unwrap() error { return ErrInvalidTransition }

// expect refuses an event that belongs to other phases.
func (s *State) expect(e Entry, phases ...Phase) error {
	if slices.Contains(phases, s.Phase) {
		return nil
	}
	return s.invalid(e, "does not belong here")
}

// human refuses an event that only a person can cause.
func (s *State) human(e Entry) (string, error) {
	a := e.Event.GetActor()
	if a.GetKind() != releasev1.Actor_KIND_HUMAN || a.GetId() == "" {
		return "", s.invalid(e, "only a person may decide this")
	}
	return a.GetId(), nil
}
