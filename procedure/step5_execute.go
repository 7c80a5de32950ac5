package procedure

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideClaim takes the wave in work for one executor. The change digest is the
// one that the executor computed from what it fetched, not one that it was told.
func DecideClaim(s State, claimer, changeDigest string, leaseUntil, deadline time.Time) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ExecutionClaimed{ExecutionClaimed: &releasev1.ExecutionClaimed{
		Wave: s.Wave, Attempt: s.Attempt + 1, ChangeDigest: changeDigest, Targets: s.WaveTargets(), Claimer: claimer,
		LeaseUntil: timestamppb.New(leaseUntil), Deadline: timestamppb.New(deadline),
	}}}
}

// DecideExecuted turns what became of every target into the end of the wave: a
// target of which nobody knows outweighs one that failed, and that outweighs
// those that are done.
func DecideExecuted(s State, results []*releasev1.TargetResult, reason string) *releasev1.Event {
	worst := releasev1.TargetResult_STATUS_DONE
	for _, r := range results {
		switch r.GetStatus() {
		case releasev1.TargetResult_STATUS_UNKNOWN:
			worst = releasev1.TargetResult_STATUS_UNKNOWN
		case releasev1.TargetResult_STATUS_DONE:
		default:
			if worst != releasev1.TargetResult_STATUS_UNKNOWN {
				worst = releasev1.TargetResult_STATUS_FAILED
			}
		}
	}
	switch worst {
	case releasev1.TargetResult_STATUS_DONE:
		return &releasev1.Event{Data: &releasev1.Event_ExecutionFinished{ExecutionFinished: &releasev1.ExecutionFinished{
			Wave: s.Wave, Attempt: s.Attempt, Results: results,
		}}}
	case releasev1.TargetResult_STATUS_UNKNOWN:
		return &releasev1.Event{Data: &releasev1.Event_ExecutionUnknown{ExecutionUnknown: &releasev1.ExecutionUnknown{
			Wave: s.Wave, Attempt: s.Attempt, Results: results, Reason: reason,
		}}}
	default:
		return &releasev1.Event{Data: &releasev1.Event_ExecutionFailed{ExecutionFailed: &releasev1.ExecutionFailed{
			Wave: s.Wave, Attempt: s.Attempt, Results: results, Reason: reason,
		}}}
	}
}

// MayTakeOver reports whether an executor other than the claimer may claim again,
// and if not yet, how long it has to wait. Where nobody can tell whether the first
// one had its effect, nobody ever may (PD-5.2).
func MayTakeOver(s State, targets []string, at time.Time) (ok bool, wait time.Duration) {
	switch s.ClassOf(targets) {
	case releasev1.DriverClass_DRIVER_CLASS_FENCED:
		return true, 0
	case releasev1.DriverClass_DRIVER_CLASS_PROBEABLE:
		if at.Before(s.Claim.LeaseUntil) {
			return false, s.Claim.LeaseUntil.Sub(at)
		}
		return true, 0
	default:
		return false, 0
	}
}

func (s *State) applyExecutionClaimed(e Entry, d *releasev1.ExecutionClaimed) error {
	if err := s.expect(e, PhaseExecute, PhaseExecuting); err != nil {
		return err
	}
	switch {
	case s.Authorized == nil || s.ChangeDigest == "":
		return s.invalid(e, "it is not authorized")
	case d.GetChangeDigest() != s.ChangeDigest || s.Authorized.GetChangeDigest() != s.ChangeDigest:
		return s.invalid(e, "it is for another change digest")
	case d.GetWave() != s.Wave || d.GetAttempt() != s.Attempt+1:
		return s.invalid(e, "it is for another wave or attempt")
	case !slices.Equal(d.GetTargets(), s.WaveTargets()):
		return s.invalid(e, "its targets are not those of the wave")
	case d.GetClaimer() == "" || d.GetLeaseUntil() == nil || d.GetDeadline() == nil || !e.Stored.Before(d.GetDeadline().AsTime()):
		return s.invalid(e, "claimer, lease or deadline is missing or over")
	case s.Paused() && s.Phase == PhaseExecute:
		// Who takes a claim over begins nothing new: what is under way goes on to its end.
		return s.invalid(e, "it is paused by "+s.Pause.Person)
	case len(d.GetBypassed()) > 0 && !s.Emergency():
		return s.invalid(e, "a control is bypassed without an emergency")
	case len(blocking(d.GetFindings())) > 0:
		return s.invalid(e, "a finding is blocking")
	case s.starts() && !e.Stored.Before(s.startBy()):
		return s.invalid(e, "the authorization is valid no longer")
	}
	if s.starts() {
		// An authorization may say that it outlives its approvals. It does not.
		if _, missing := Count(*s, e.Stored); len(missing) > 0 {
			return s.invalid(e, "approvals have expired")
		}
		if w := s.lapsed(e.Stored, d.GetBypassed()); w != nil {
			return s.invalid(e, "the waiver by "+w.GetOwner()+" has expired")
		}
	}
	if s.Phase == PhaseExecuting {
		if ok, _ := MayTakeOver(*s, d.GetTargets(), e.Stored); !ok {
			return s.invalid(e, "another executor holds it")
		}
	}
	if s.Corrected != "" {
		s.correct(coming)
	}
	s.Attempt = d.GetAttempt()
	s.Claim = Claim{
		Claimer: d.GetClaimer(), LeaseUntil: d.GetLeaseUntil().AsTime(), Deadline: d.GetDeadline().AsTime(), Sequence: e.Sequence,
	}
	// Who takes over may go on with what was begun: nobody knows yet that it was.
	if len(s.Begun) == 0 && s.Phase != PhaseExecuting {
		s.Began = e.Stored
	}
	if int(s.Wave) == len(s.WavesBegan) {
		s.WavesBegan = append(slices.Clip(s.WavesBegan), e.Stored)
	}
	touched := slices.Clone(s.Touched)
	for _, t := range d.GetTargets() {
		if !slices.Contains(touched, t) {
			touched = append(touched, t)
		}
	}
	s.Touched = touched
	s.bypass(d.GetBypassed())
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.Holds, s.HeldUntil, s.HeldSince = nil, time.Time{}, time.Time{}
	// Who takes over inherits the deadline: executors that die one after the other
	// would otherwise put it off for good.
	if s.Phase != PhaseExecuting {
		s.enter(PhaseExecuting, e.Stored)
	}
	return nil
}

// startBy is the last moment at which execution may start.
func (s *State) startBy() time.Time {
	until := s.Requested.GetStartBy().AsTime()
	if v := s.Authorized.GetValidUntil(); v != nil && v.AsTime().Before(until) {
		until = v.AsTime()
	}
	return until
}

func (s *State) ofClaim(e Entry, wave, attempt uint32) error {
	if err := s.expect(e, PhaseExecuting); err != nil {
		return err
	}
	if wave != s.Wave || attempt != s.Attempt {
		return s.invalid(e, "it is of another wave or attempt")
	}
	return nil
}

// unknownTarget says which result is of none of the targets, or of one twice;
// empty where all are in order.
func unknownTarget(results []*releasev1.TargetResult, targets []string) string {
	var seen []string
	for _, r := range results {
		if !slices.Contains(targets, r.GetTarget()) || slices.Contains(seen, r.GetTarget()) {
			return "target " + r.GetTarget() + " is none of those, or there twice"
		}
		seen = append(seen, r.GetTarget())
	}
	return ""
}

func (s *State) applyExecutionFinished(e Entry, d *releasev1.ExecutionFinished) error {
	if err := s.ofClaim(e, d.GetWave(), d.GetAttempt()); err != nil {
		return err
	}
	if why := unknownTarget(d.GetResults(), s.WaveTargets()); why != "" {
		return s.invalid(e, why)
	}
	for _, r := range d.GetResults() {
		if r.GetStatus() != releasev1.TargetResult_STATUS_DONE {
			return s.invalid(e, "target "+r.GetTarget()+" is not done")
		}
	}
	if len(d.GetResults()) != len(s.WaveTargets()) {
		return s.invalid(e, "a target of the wave is missing")
	}
	s.begin(d.GetResults())
	s.setResults(d.GetResults())
	s.Claim = Claim{}
	if s.AbortBy != "" {
		s.remedy(e.Stored)
		return nil
	}
	s.enter(PhaseVerify, e.Stored)
	return nil
}

func (s *State) applyExecutionFailed(e Entry, d *releasev1.ExecutionFailed) error {
	if err := s.ofClaim(e, d.GetWave(), d.GetAttempt()); err != nil {
		return err
	}
	if why := unknownTarget(d.GetResults(), s.WaveTargets()); why != "" {
		return s.invalid(e, why)
	}
	if err := s.prescribed(e, d.GetRemedy(), false); err != nil {
		return err
	}
	s.begin(d.GetResults())
	s.setResults(d.GetResults())
	s.EndReason = "execution failed: " + d.GetReason()
	if slices.ContainsFunc(d.GetResults(), changedByHand) {
		// The way back overwrites nothing of theirs either: whose change counts, people say.
		s.escalate(releasev1.Cause_CAUSE_MANUAL_CHANGE, false, e.Stored)
		return nil
	}
	s.fail(releasev1.Cause_CAUSE_EXECUTION_FAILED, d.GetRemedy(), e.Stored)
	return nil
}

// changedByHand reports whether a target failed because of what somebody else has changed there.
func changedByHand(r *releasev1.TargetResult) bool { return r.GetManualChange() != nil }

func (s *State) applyExecutionUnknown(e Entry, d *releasev1.ExecutionUnknown) error {
	targets := s.WaveTargets()
	if d.GetRollback() {
		if err := s.ofRollback(e, "", d.GetAttempt()); err != nil {
			return err
		}
		targets = s.Touched
	} else if err := s.ofClaim(e, d.GetWave(), d.GetAttempt()); err != nil {
		return err
	}
	if why := unknownTarget(d.GetResults(), targets); why != "" {
		return s.invalid(e, why)
	}
	if !d.GetRollback() {
		s.begin(d.GetResults())
	}
	s.setResults(d.GetResults())
	s.EndReason = "outcome unknown: " + d.GetReason()
	until := s.Claim.Deadline
	s.escalate(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN, d.GetRollback(), e.Stored)
	if !answered(d.GetResults()) {
		s.DecideFrom = until
	}
	return nil
}

// answered reports whether the executor that had the claim says itself that nobody
// can tell: its results name the fence under which the targets were asked, and
// nothing of it is at work any more. What is said of one that was lost names none:
// that one may be asleep, and may begin when it wakes, until its claim is over.
func answered(results []*releasev1.TargetResult) bool {
	unknown := 0
	for _, r := range results {
		if r.GetStatus() != releasev1.TargetResult_STATUS_UNKNOWN {
			continue
		}
		if r.GetFence() == 0 {
			return false
		}
		unknown++
	}
	return unknown > 0
}

// applyExecutionRefused stops a release that must not run. Where a wave is already
// done, a person decides what becomes of it.
func (s *State) applyExecutionRefused(e Entry, d *releasev1.ExecutionRefused) error {
	if err := s.expect(e, PhaseExecute); err != nil {
		return err
	}
	if len(blocking(d.GetFindings())) == 0 {
		return s.invalid(e, "it names no reason")
	}
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	reason := reasons("step 5", d.GetFindings())
	if s.Started() {
		s.EndReason = reason
		s.escalate(releasev1.Cause_CAUSE_EXECUTION_REFUSED, false, e.Stored)
		return nil
	}
	s.end(releasev1.Outcome_OUTCOME_REJECTED, "", reason, e.Stored)
	return nil
}

// applyAborted stops the release at the next safe point: at once where no executor
// is at work, otherwise when it has come back.
func (s *State) applyAborted(e Entry, d *releasev1.Aborted) error {
	if err := s.expect(e, PhaseHeld, PhaseExecute, PhaseExecuting, PhaseVerify); err != nil {
		return err
	}
	if !s.Started() {
		return s.invalid(e, "nothing was executed: withdraw it instead")
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if s.AbortBy != "" {
		return s.invalid(e, "it is being aborted already")
	}
	s.decided(by)
	s.AbortBy, s.AbortReason = by, d.GetReason()
	s.EndReason = "aborted by " + by + ": " + d.GetReason()
	if s.Phase != PhaseExecuting {
		s.remedy(e.Stored)
	}
	return nil
}

func (s *State) applyTargetsReleased(e Entry, d *releasev1.TargetsReleased) error {
	if err := s.expect(e, PhaseRelease); err != nil {
		return err
	}
	var let []string
	for _, r := range d.GetResults() {
		let = append(let, r.GetTarget())
	}
	if !slices.Equal(let, s.Touched) {
		return s.invalid(e, "not every touched target is let go")
	}
	if d.GetQuarantined() != "" && ReleaseQuarantines(*s) == "" {
		return s.invalid(e, "it takes no release back whose artifact could be in quarantine")
	}
	s.setResults(d.GetResults())
	s.enter(PhaseRecord, e.Stored)
	return nil
}
