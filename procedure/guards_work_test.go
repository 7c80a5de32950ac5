package procedure_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// workGuards are the guards of steps 5 to 8.
var workGuards = []guard{
	{name: "overrun of a release that has not begun", phase: procedure.PhaseExecute, want: "nothing was begun", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data = proceduretest.Overrun(h.State(), "freeze-1").GetData()
	}},
	{name: "overrun of another wave", request: two, phase: procedure.PhaseVerify, want: "another wave", prepare: again, spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data = proceduretest.Overrun(procedure.State{}, "freeze-1").GetData()
	}},
	{name: "overrun by nothing", request: two, phase: procedure.PhaseVerify, want: "names no freeze", prepare: again, spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data = proceduretest.Overrun(h.State(), "freeze-1").GetData()
		e.GetExecutionOverrun().Reasons = nil
	}},
	{name: "claim of another digest", phase: procedure.PhaseExecute, want: "another change digest", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().ChangeDigest = proceduretest.Digest('0')
	}},
	{name: "claim of another wave", request: two, phase: procedure.PhaseExecute, want: "another wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Wave = 1
	}},
	{name: "claim of an attempt that was", phase: procedure.PhaseExecute, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Attempt = 0
	}},
	{name: "claim of more targets", phase: procedure.PhaseExecute, want: "not those of the wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Targets = []string{"eu1", "us1"}
	}},
	{name: "claim of another target", phase: procedure.PhaseExecute, want: "not those of the wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Targets = []string{"us1"}
	}},
	{name: "claim of an attempt to come", phase: procedure.PhaseExecute, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Attempt = 2
	}},
	{name: "claim by nobody", phase: procedure.PhaseExecute, want: "claimer", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Claimer = ""
	}},
	{name: "claim without a lease", phase: procedure.PhaseExecute, want: "lease", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().LeaseUntil = nil
	}},
	{name: "claim whose deadline is over", phase: procedure.PhaseExecute, want: "deadline", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionClaimed().Deadline = timestamppb.New(h.Now)
	}},
	{name: "claim when the start is over", phase: procedure.PhaseExecute, want: "valid no longer", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		h.Advance(100 * time.Hour)
		e.GetExecutionClaimed().Deadline = timestamppb.New(h.Now.Add(time.Hour))
	}},
	{
		name: "claim under approvals that an authorization outlived", phase: procedure.PhaseApprove, want: "approvals have expired",
		prepare: func(t *testing.T, h *proceduretest.History) {
			for _, person := range []string{"anna", "ben"} {
				h.Do(t, person, proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
			}
			e := proceduretest.Authorize(h.State(), h.Now)
			e.GetAuthorized().ValidUntil = timestamppb.New(h.Now.Add(48 * time.Hour))
			h.Do(t, "", e)
			h.To(t, procedure.PhaseExecute)
		},
		spoil: func(h *proceduretest.History, e *releasev1.Event) {
			h.Advance(time.Hour)
			e.GetExecutionClaimed().Deadline = timestamppb.New(h.Now.Add(time.Hour))
		},
	},
	{name: "finished with a target that is not done", phase: procedure.PhaseExecuting, want: "not done", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionFinished().GetResults()[0].Status = releasev1.TargetResult_STATUS_SKIPPED
	}},
	{name: "finished without one of the targets", request: two, phase: procedure.PhaseExecuting, want: "missing", prepare: secondWave, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetExecutionFinished()
		d.Results = d.GetResults()[:1]
	}},
	{name: "finished with one target twice", request: two, phase: procedure.PhaseExecuting, want: "twice", prepare: secondWave, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetExecutionFinished()
		d.Results[1] = d.GetResults()[0]
	}},
	{name: "finished with a target of another wave", request: two, phase: procedure.PhaseExecuting, want: "none of those", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionFinished().GetResults()[0].Target = "us1"
	}},
	{name: "finished of the wave before", request: two, phase: procedure.PhaseExecuting, want: "another wave", prepare: secondWave, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetExecutionFinished().Wave = 0
	}},
	{name: "failed on a target that was not touched", phase: procedure.PhaseExecuting, want: "none of those", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionFailed{ExecutionFailed: &releasev1.ExecutionFailed{
			Attempt: 1, Results: []*releasev1.TargetResult{{Target: "ap1", Status: releasev1.TargetResult_STATUS_FAILED}},
		}}
	}},
	{name: "start refused for what does not forbid it", phase: procedure.PhaseExecute, want: "no reason", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionRefused{ExecutionRefused: &releasev1.ExecutionRefused{
			Findings: []*releasev1.Finding{{Rule: "freeze", Severity: releasev1.Finding_SEVERITY_OK}},
		}}
	}},
	{name: "start held while it bakes", phase: procedure.PhaseVerify, want: "does not belong here", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("freeze", h.Now.Add(time.Hour))}
	}},
	{name: "failed in another attempt", phase: procedure.PhaseExecuting, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionFailed{ExecutionFailed: &releasev1.ExecutionFailed{Attempt: 7}}
	}},
	{name: "unknown in another attempt of the way back", phase: procedure.PhaseRollingBack, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionUnknown{ExecutionUnknown: &releasev1.ExecutionUnknown{Rollback: true, Attempt: 7}}
	}},
	{name: "unknown of a target that was not touched", phase: procedure.PhaseExecuting, want: "none of those", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionUnknown{ExecutionUnknown: &releasev1.ExecutionUnknown{
			Attempt: 1, Results: []*releasev1.TargetResult{{Target: "ap1", Status: releasev1.TargetResult_STATUS_UNKNOWN}},
		}}
	}},

	{name: "passed without any data", phase: procedure.PhaseVerify, want: "no data", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().Results = nil
	}},
	{name: "passed with a check that failed", phase: procedure.PhaseVerify, want: "did not pass", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().GetResults()[0].Verdict = releasev1.CheckResult_VERDICT_FAIL
	}},
	{name: "passed with a check without a verdict", phase: procedure.PhaseVerify, want: "did not pass", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().GetResults()[0].Verdict = releasev1.CheckResult_VERDICT_INCONCLUSIVE
	}},
	{name: "passed without looking at a target", request: two, phase: procedure.PhaseVerify, want: "target eu1 was not looked at", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().GetResults()[0].Target = "us1"
	}},
	{name: "passed without one of the checks", request: checked, phase: procedure.PhaseVerify, want: "check orders of target eu1 has no result", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		v := e.GetVerificationPassed().GetVerification()
		v.Results = v.GetResults()[:1]
	}},
	{name: "passed the way back without any data", phase: procedure.PhaseVerifyRollback, want: "no data", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().Results = nil
	}},
	{name: "passed the way back without looking at an earlier wave", request: two, phase: procedure.PhaseVerify, prepare: secondWaveWentBack, want: "target eu1 was not looked at", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		v := e.GetVerificationPassed().GetVerification()
		v.Results = slices.DeleteFunc(v.GetResults(), func(r *releasev1.CheckResult) bool { return r.GetTarget() == "eu1" })
	}},
	{name: "passed the way back by a target that was never touched", request: two, phase: procedure.PhaseVerifyRollback, want: "target eu1 was not looked at", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().GetResults()[0].Target = "us1"
	}},
	{name: "passed the way back without a check of its plan", request: checked, phase: procedure.PhaseVerifyRollback, want: "check payments of target eu1 has no result", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().GetResults()[0].Check = "health"
	}},
	{name: "passed of another wave", phase: procedure.PhaseVerify, want: "another wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().Wave = 1
	}},
	{name: "passed of the way back, while it goes forward", phase: procedure.PhaseVerify, want: "another wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().Rollback = true
	}},
	{name: "passed of a bake that was counted before", phase: procedure.PhaseVerifyRollback, want: "another wave", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetVerificationPassed().GetVerification().Number = 1
	}},
	{name: "failed of a bake that was counted before", phase: procedure.PhaseVerifyRollback, want: "another wave", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		v := e.GetVerificationPassed().GetVerification()
		v.Number = 1
		e.Data = &releasev1.Event_VerificationFailed{VerificationFailed: &releasev1.VerificationFailed{Verification: v}}
	}},
	{name: "failed, and people are asked without an end", phase: procedure.PhaseVerify, want: "without an end", spoil: remedied(&releasev1.Remedy{
		Action: releasev1.Remedy_ACTION_ASK, Otherwise: releasev1.Remedy_ACTION_ROLL_BACK,
	})},
	{
		name: "failed, and people are asked again when they were asked", phase: procedure.PhaseVerify, want: "without an end",
		spoil: remedied(proceduretest.Ask(time.Hour, releasev1.Remedy_ACTION_ASK)),
	},
	{name: "failed with a remedy that is none", phase: procedure.PhaseVerify, want: "its remedy is none", spoil: remedied(&releasev1.Remedy{Row: "nothing"})},
	{name: "failed with a remedy of later", phase: procedure.PhaseVerify, want: "its remedy is none", spoil: remedied(&releasev1.Remedy{Action: 4})},
	{name: "failed on the way back with a remedy", phase: procedure.PhaseVerifyRollback, want: "decided already", spoil: remedied(&releasev1.Remedy{
		Action: releasev1.Remedy_ACTION_ROLL_BACK,
	})},
	{name: "failed on the way back, and looked at beside it", request: two, phase: procedure.PhaseVerifyRollback, want: "nothing is looked at", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		remedied(nil)(nil, e)
		proceduretest.Beside(e, releasev1.CheckResult_VERDICT_FAIL, "us1")
	}},
	{name: "failed and stopped, with a remedy", phase: procedure.PhaseExecuting, want: "decided already", prepare: func(t *testing.T, h *proceduretest.History) {
		h.Do(t, "dan", proceduretest.Abort())
	}, spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_ExecutionFailed{ExecutionFailed: &releasev1.ExecutionFailed{
			Attempt: 1, Remedy: &releasev1.Remedy{Action: releasev1.Remedy_ACTION_ESCALATE},
		}}
	}},
	{name: "no verdict, which people are asked about, with a remedy", phase: procedure.PhaseVerify, want: "decided already", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_VerificationInconclusive{VerificationInconclusive: &releasev1.VerificationInconclusive{
			Verification: e.GetVerificationPassed().GetVerification(), Remedy: &releasev1.Remedy{Action: releasev1.Remedy_ACTION_ROLL_BACK},
		}}
	}},

	{name: "way back of fewer targets", request: two, phase: procedure.PhaseRemedy, want: "not those that were touched", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Targets = nil
	}},
	{name: "way back of a part of the targets", request: two, phase: procedure.PhaseVerify, prepare: secondWaveFailed, want: "not those that were touched", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Targets = []string{"us2", "us1"}
	}},
	{name: "way back in an attempt to come", phase: procedure.PhaseRemedy, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Attempt = 2
	}},
	{name: "way back by nobody", phase: procedure.PhaseRemedy, want: "claimer", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Claimer = ""
	}},
	{name: "way back whose deadline is over", phase: procedure.PhaseRemedy, want: "deadline", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Deadline = timestamppb.New(h.Now)
	}},
	{name: "way back in an attempt that was", phase: procedure.PhaseRemedy, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().Attempt = 0
	}},
	{name: "way back without a lease", phase: procedure.PhaseRemedy, want: "lease", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRollbackClaimed().LeaseUntil = nil
	}},
	{name: "no way back, without a reason", phase: procedure.PhaseRemedy, want: "no reason", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_RollbackUnavailable{RollbackUnavailable: &releasev1.RollbackUnavailable{}}
	}},
	{name: "went back without one of the targets", phase: procedure.PhaseRollingBack, want: "did not go back", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRolledBack().Results = nil
	}},
	{name: "went back with a target that did not", phase: procedure.PhaseRollingBack, want: "did not go back", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRolledBack().GetResults()[0].Status = releasev1.TargetResult_STATUS_FAILED
	}},
	{name: "went back with a target that was not touched", phase: procedure.PhaseRollingBack, want: "none of those", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetRolledBack()
		d.Results = append(d.Results, &releasev1.TargetResult{Target: "ap1", Status: releasev1.TargetResult_STATUS_DONE})
	}},
	{name: "way back failed on a target that was not touched", phase: procedure.PhaseRollingBack, want: "none of those", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_RollbackFailed{RollbackFailed: &releasev1.RollbackFailed{
			Attempt: 1, Results: []*releasev1.TargetResult{{Target: "ap1", Status: releasev1.TargetResult_STATUS_FAILED}},
		}}
	}},
	{name: "way back failed in another attempt", phase: procedure.PhaseRollingBack, want: "attempt", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_RollbackFailed{RollbackFailed: &releasev1.RollbackFailed{Attempt: 7}}
	}},

	{name: "decision by a machine", phase: procedure.PhaseEscalated, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Actor = proceduretest.Service("approval")
	}},
	{name: "decision without a reason", phase: procedure.PhaseEscalated, want: "no reason", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetIntervened().Reason = ""
	}},
	{name: "decision that is none", phase: procedure.PhaseEscalated, want: "not possible", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetIntervened().Action = 0
	}},
	{name: "rung that is not the next", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: told, want: "rung", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetEscalated().Rung = 2
	}},
	{name: "call of nobody", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: told, want: "people", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetEscalated().To = nil
	}},
	{name: "call for what nobody is called for", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: told, want: "nobody is to be called", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetEscalated().Cause = releasev1.Cause_CAUSE_ROLLBACK_FAILED
	}},
	{name: "targets let go without one of them", phase: procedure.PhaseRelease, want: "not every touched target", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetTargetsReleased().Results = nil
	}},
	{name: "a part of the targets let go", request: two, phase: procedure.PhaseRelease, want: "not every touched target", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetTargetsReleased()
		d.Results = d.GetResults()[:2]
	}},
	{name: "record of another outcome", phase: procedure.PhaseRecord, want: "another outcome", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRecorded().Outcome = releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED
	}},
	{name: "record that nobody can check", phase: procedure.PhaseRecord, want: "another outcome or head", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRecorded().RecordDigest = ""
	}},
	{name: "record of an older head", phase: procedure.PhaseRecord, want: "head", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRecorded().AsOfSequence--
	}},
	{name: "review that does not state the residual risk", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "residual risk", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetReviewCompleted().ResidualRisk = ""
	}},
	{name: "review with a residual risk of blanks", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "residual risk", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetReviewCompleted().ResidualRisk = " \t\u00a0\u3000"
	}},
	{name: "review by who authorized it", phase: procedure.PhaseFollowUp, request: proceduretest.Emergency, prepare: reviewable, want: "may not review", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Actor = proceduretest.Person("eve")
	}},
}

// secondWave goes on to the executor's work on the second wave.
func secondWave(t *testing.T, h *proceduretest.History) {
	h.To(t, procedure.PhaseVerify)
	h.To(t, procedure.PhaseExecuting)
}

// secondWaveFailed goes on to the second wave's failure, which leaves both to go back.
func secondWaveFailed(t *testing.T, h *proceduretest.History) {
	secondWave(t, h)
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"us1": releasev1.TargetResult_STATUS_FAILED}))
}

// secondWaveWentBack goes on after that, back over both.
func secondWaveWentBack(t *testing.T, h *proceduretest.History) {
	secondWaveFailed(t, h)
	h.To(t, procedure.PhaseVerifyRollback)
}

// checked asks for a second check, and for another one on the way back.
func checked(r *releasev1.Request) {
	r.Validation.Checks = append(r.Validation.Checks, &releasev1.Check{Name: "orders"})
	r.RollbackPlan.Checks = []*releasev1.Check{{Name: "payments"}}
}

// told goes on until stakeholders know and people are to be called.
func told(t *testing.T, h *proceduretest.History) {
	for len(h.State().Wanted) > 0 {
		h.Do(t, "", proceduretest.Notify(h.State()))
	}
}

// reviewable goes on until nothing but the review is owed.
func reviewable(t *testing.T, h *proceduretest.History) {
	for {
		person, e := h.Good()
		if e.GetReviewCompleted() != nil {
			return
		}
		h.Do(t, person, e)
	}
}

// again verifies the wave, so that the next may begin.
func again(t *testing.T, h *proceduretest.History) {
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
}

// remedied makes a verification one that failed, of which the document says that.
func remedied(r *releasev1.Remedy) func(*proceduretest.History, *releasev1.Event) {
	return func(_ *proceduretest.History, e *releasev1.Event) {
		v := e.GetVerificationPassed().GetVerification()
		v.GetResults()[0].Verdict = releasev1.CheckResult_VERDICT_FAIL
		e.Data = &releasev1.Event_VerificationFailed{VerificationFailed: &releasev1.VerificationFailed{Verification: v, Remedy: r}}
	}
}
