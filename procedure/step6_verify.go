package procedure

import (
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideVerified turns the results of all checks into the end of step 6: one
// failure fails, one check without a verdict leaves it without one, and only a
// pass of every check on every target passes (PD-6.3). What has no result is no pass
// either, and the reason then says what that is.
func DecideVerified(s State, v *releasev1.Verification, askWhenInconclusive bool) *releasev1.Event {
	v.Wave, v.Rollback, v.Number = s.Wave, s.Phase == PhaseVerifyRollback, s.Verifications+1
	failed, inconclusive := false, false
	for _, r := range v.GetResults() {
		switch r.GetVerdict() {
		case releasev1.CheckResult_VERDICT_PASS:
		case releasev1.CheckResult_VERDICT_FAIL:
			failed = true
		default:
			inconclusive = true
		}
	}
	if why := s.unchecked(v); why != "" && !failed && !inconclusive {
		inconclusive, v.Reason = true, why
	}
	switch {
	case failed:
		return &releasev1.Event{Data: &releasev1.Event_VerificationFailed{
			VerificationFailed: &releasev1.VerificationFailed{Verification: v},
		}}
	case inconclusive:
		return &releasev1.Event{Data: &releasev1.Event_VerificationInconclusive{
			VerificationInconclusive: &releasev1.VerificationInconclusive{Verification: v, CountsAsFailure: !askWhenInconclusive},
		}}
	}
	return &releasev1.Event{Data: &releasev1.Event_VerificationPassed{
		VerificationPassed: &releasev1.VerificationPassed{Verification: v},
	}}
}

// ofBake refuses a verification of another wave, or one that was counted before.
func (s *State) ofBake(e Entry, v *releasev1.Verification) error {
	if err := s.expect(e, PhaseVerify, PhaseVerifyRollback); err != nil {
		return err
	}
	if v.GetRollback() != (s.Phase == PhaseVerifyRollback) || v.GetWave() != s.Wave || v.GetNumber() != s.Verifications+1 {
		return s.invalid(e, "it is of another wave")
	}
	return nil
}

func (s *State) applyVerificationPassed(e Entry, v *releasev1.Verification) error {
	if err := s.ofBake(e, v); err != nil {
		return err
	}
	if len(v.GetResults()) == 0 {
		return s.invalid(e, "no data is not a pass")
	}
	for _, r := range v.GetResults() {
		if r.GetVerdict() != releasev1.CheckResult_VERDICT_PASS {
			return s.invalid(e, "check "+r.GetCheck()+" did not pass")
		}
	}
	if why := s.unchecked(v); why != "" {
		return s.invalid(e, why)
	}
	s.Verifications++
	if v.GetRollback() {
		s.end(releasev1.Outcome_OUTCOME_ROLLED_BACK, s.AbortBy, s.EndReason, e.Stored)
		return nil
	}
	if int(s.Wave)+1 < len(s.Request.GetPlan().GetWaves()) {
		s.Wave++
		s.Attempt = 0
		s.enter(PhaseExecute, e.Stored)
		return nil
	}
	s.Verified = e.Stored
	s.end(s.success(), "", v.GetReason(), e.Stored)
	return nil
}

// unchecked names what was to be looked at and has no result; empty where nothing is
// missing. What was not looked at has not passed (PD-6.3). On the way forward these are
// the targets of the wave. On the way back they are all that were touched, because all
// of them went back, and the checks are those of the rollback plan; where it has none,
// the catalog says which are made, which nobody knows here, so that each target has to
// have a result of any.
func (s *State) unchecked(v *releasev1.Verification) string {
	targets, checks := s.WaveTargets(), s.Request.GetValidation().GetChecks()
	if v.GetRollback() {
		targets, checks = s.Touched, s.Request.GetRollbackPlan().GetChecks()
	}
	type pair struct{ check, target string }
	if why := s.unsigned(checks); why != "" {
		return why
	}
	seen, looked := map[pair]*releasev1.CheckResult{}, map[string]bool{}
	for _, r := range v.GetResults() {
		seen[pair{r.GetCheck(), r.GetTarget()}], looked[r.GetTarget()] = r, true
	}
	for _, t := range targets {
		if !looked[t] {
			return "target " + t + " was not looked at"
		}
		for _, c := range checks {
			for _, name := range ResultsOf(c) {
				r := seen[pair{name, t}]
				if r == nil {
					return "check " + name + " of target " + t + " has no result"
				}
				// A validator that knows of no baselines looks at the bounds alone.
				if c.GetPrometheus().GetBaseline() != nil && r.GetComparison() == "" {
					return "check " + name + " of target " + t + " was not compared with its baseline"
				}
			}
		}
	}
	return ""
}

// success is a success with issues where people had to be called on the way.
func (s *State) success() releasev1.Outcome {
	for _, x := range s.Escalations {
		if x.Cause != releasev1.Cause_CAUSE_EMERGENCY_BYPASS {
			return releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES
		}
	}
	return releasev1.Outcome_OUTCOME_SUCCEEDED
}

func (s *State) applyVerificationFailed(e Entry, d *releasev1.VerificationFailed) error {
	v := d.GetVerification()
	if err := s.ofBake(e, v); err != nil {
		return err
	}
	if err := s.prescribed(e, d.GetRemedy(), v.GetRollback()); err != nil {
		return err
	}
	if err := s.untouched(e, v); err != nil {
		return err
	}
	s.Verifications++
	if v.GetRollback() {
		s.escalate(releasev1.Cause_CAUSE_ROLLBACK_FAILED, true, e.Stored)
		return nil
	}
	if BothUnhealthy(v) {
		s.EndReason = "validation failed, and so it does where the release has changed nothing: " + v.GetReason()
		s.escalate(releasev1.Cause_CAUSE_BOTH_UNHEALTHY, false, e.Stored)
		return nil
	}
	s.EndReason = "validation failed: " + v.GetReason()
	s.fail(releasev1.Cause_CAUSE_VALIDATION_FAILED, d.GetRemedy(), e.Stored)
	return nil
}

func (s *State) applyVerificationInconclusive(e Entry, d *releasev1.VerificationInconclusive) error {
	v := d.GetVerification()
	if err := s.ofBake(e, v); err != nil {
		return err
	}
	if err := s.prescribed(e, d.GetRemedy(), v.GetRollback() || !d.GetCountsAsFailure()); err != nil {
		return err
	}
	s.Verifications++
	switch {
	case v.GetRollback():
		s.escalate(releasev1.Cause_CAUSE_ROLLBACK_FAILED, true, e.Stored)
	case d.GetCountsAsFailure():
		s.EndReason = "validation gave no verdict: " + v.GetReason()
		s.fail(releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE, d.GetRemedy(), e.Stored)
	default:
		s.EndReason = "validation gave no verdict: " + v.GetReason()
		s.escalate(releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE, false, e.Stored)
	}
	return nil
}
