package proceduretest

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Notify tells stakeholders of the first thing that they wait for; nil where there
// is none.
func Notify(s procedure.State) *releasev1.Event {
	if len(s.Wanted) == 0 {
		return nil
	}
	return procedure.DecideNotified(s.Wanted[0], []*releasev1.Receipt{{
		Channel: "chat", Key: s.Release + "/" + s.Wanted[0].Occasion.String(), Delivered: true, Attempts: 1, Response: "200", BodyDigest: Digest('9'),
	}})
}

// Claim takes the wave in work for the executor, with a lease of a minute.
func Claim(s procedure.State, claimer string, at time.Time) *releasev1.Event {
	return procedure.DecideClaim(s, claimer, procedure.ChangeDigest(s), at.Add(time.Minute), at.Add(30*time.Minute))
}

// Executed ends the wave in work; targets that are not named are done.
func Executed(s procedure.State, statuses map[string]releasev1.TargetResult_Status) *releasev1.Event {
	return procedure.DecideExecuted(s, Results(s, s.WaveTargets(), Digest('a'), statuses), "the driver says so")
}

// Lost ends the wave in work or the way back by the word of another executor than
// the one that claimed it: nobody knows anything of any target, and the targets
// named, or where none is all of them, were not asked.
func Lost(s procedure.State, named ...string) *releasev1.Event {
	targets := s.WaveTargets()
	if s.Phase == procedure.PhaseRollingBack {
		targets = procedure.RollbackTargets(s)
	}
	var results []*releasev1.TargetResult
	for _, t := range targets {
		r := &releasev1.TargetResult{Target: t, Status: releasev1.TargetResult_STATUS_UNKNOWN, Message: "the executor was lost"}
		if len(named) > 0 && !slices.Contains(named, t) {
			r.Fence = s.Claim.Sequence
		}
		results = append(results, r)
	}
	if s.Phase == procedure.PhaseRollingBack {
		return procedure.DecideRolledBack(s, results, "the executor was lost")
	}
	return procedure.DecideExecuted(s, results, "the executor was lost")
}

// Results is what became of the targets; those that are not named are done and
// carry the digest.
func Results(s procedure.State, targets []string, digest string, statuses map[string]releasev1.TargetResult_Status) []*releasev1.TargetResult {
	var all []*releasev1.TargetResult
	for _, t := range targets {
		r := &releasev1.TargetResult{Target: t, Status: releasev1.TargetResult_STATUS_DONE, Digest: digest, Fence: s.Claim.Sequence}
		if status, named := statuses[t]; named {
			r.Status, r.Digest, r.Message = status, "", "exit status 1"
		}
		all = append(all, r)
	}
	return all
}

// Verified ends the bake with the same verdict for every check on every target of
// the wave, or of the way back, which is looked at by the checks of its plan where that
// has any.
func Verified(s procedure.State, verdict releasev1.CheckResult_Verdict, askWhenInconclusive bool) *releasev1.Event {
	targets, checks := s.WaveTargets(), s.Request.GetValidation().GetChecks()
	if s.Phase == procedure.PhaseVerifyRollback {
		targets = s.Touched
		if back := s.Request.GetRollbackPlan().GetChecks(); len(back) > 0 {
			checks = back
		}
	}
	v := &releasev1.Verification{Reason: verdict.String()}
	for _, t := range targets {
		for _, c := range checks {
			for _, name := range procedure.ResultsOf(c) {
				r := &releasev1.CheckResult{Check: name, Target: t, Verdict: verdict, Samples: 12}
				if c.GetPrometheus().GetBaseline() != nil {
					r.Comparison = Digest('c')
				}
				v.Results = append(v.Results, r)
			}
		}
	}
	return procedure.DecideVerified(s, v, askWhenInconclusive)
}

// Remedy claims the way back for the executor, or says that there is none.
func Remedy(s procedure.State, claimer string, at time.Time) *releasev1.Event {
	return procedure.DecideRemedy(s, claimer, at.Add(time.Minute), at.Add(30*time.Minute))
}

// RolledBack ends the way back; targets that are not named are done.
func RolledBack(s procedure.State, statuses map[string]releasev1.TargetResult_Status) *releasev1.Event {
	return procedure.DecideRolledBack(s, Results(s, procedure.RollbackTargets(s), Digest('b'), statuses), "the driver says so")
}

// Released lets every touched target go; each carries what it was last known to.
func Released(s procedure.State) *releasev1.Event {
	results := Results(s, s.Touched, Digest('a'), nil)
	for _, r := range results {
		if known := s.Result(r.GetTarget()); known != nil {
			r.Digest = known.GetDigest()
		}
	}
	return &releasev1.Event{Data: &releasev1.Event_TargetsReleased{TargetsReleased: &releasev1.TargetsReleased{Results: results}}}
}

// Recorded closes the record.
func Recorded(s procedure.State) *releasev1.Event {
	back := make([]string, len(s.Rollbacks))
	for i := range back {
		back[i] = Digest('8')
	}
	return procedure.DecideRecorded(s, Digest('7'), back...)
}

// Overrun takes a release back that may not go on because of the freeze of that name.
func Overrun(s procedure.State, freeze string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ExecutionOverrun{ExecutionOverrun: &releasev1.ExecutionOverrun{
		Wave: s.Wave, Reasons: []*releasev1.HoldReason{{Rule: procedure.HoldFreeze, Subject: freeze, SetBy: "anna"}},
	}}}
}

// Prescribed is a failure with what a procedure document says of it.
func Prescribed(s procedure.State, e *releasev1.Event, r *releasev1.Remedy) *releasev1.Event {
	return procedure.Prescribe(s, e, func(releasev1.Cause) *releasev1.Remedy { return r })
}

// Ask has the owner asked for some time, what becomes of a release that failed.
func Ask(within time.Duration, otherwise releasev1.Remedy_Action) *releasev1.Remedy {
	return &releasev1.Remedy{
		Row: "ask", Action: releasev1.Remedy_ACTION_ASK, Asked: releasev1.Remedy_ASKED_OWNER, Within: durationpb.New(within), Otherwise: otherwise,
	}
}

// Beside adds what was seen of the checks that failed on targets that the release has not
// touched.
func Beside(e *releasev1.Event, verdict releasev1.CheckResult_Verdict, targets ...string) *releasev1.Event {
	v := e.GetVerificationFailed().GetVerification()
	if v == nil {
		return e
	}
	v.Beside = &releasev1.Beside{}
	for _, t := range targets {
		for _, c := range procedure.FailedChecks(v) {
			v.Beside.Results = append(v.Beside.Results, &releasev1.CheckResult{Check: c, Target: t, Verdict: verdict, Samples: 3})
		}
	}
	return e
}
