package view

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Numbers of the steps, as PROC-DEPLOY-001 has them; authorization stands between
// the third and the fourth.
const (
	stepGates     = "1"
	stepScope     = "2"
	stepRisk      = "3"
	stepAuthorize = "A"
	stepNotify    = "4"
	stepExecute   = "5"
	stepVerify    = "6"
	stepRemediate = "7"
	stepRecord    = "8"
)

var stepNames = []struct{ number, name string }{
	{stepGates, "gates"},
	{stepScope, "scope"},
	{stepRisk, "risk"},
	{stepAuthorize, "authorize"},
	{stepNotify, "notify"},
	{stepExecute, "execute"},
	{stepVerify, "verify"},
	{stepRemediate, "remediate"},
	{stepRecord, "record"},
}

// step is one step as it went so far.
type step struct {
	status         recorderv1.Step_Status
	started, ended time.Time
	detail         string
}

// stepOf returns the step that a release is in, empty where it is in none.
func stepOf(s procedure.State) string {
	switch s.Phase {
	case procedure.PhaseGates:
		return stepGates
	case procedure.PhaseScope:
		return stepScope
	case procedure.PhasePreview, procedure.PhaseRisk:
		return stepRisk
	case procedure.PhaseHeld:
		switch s.HeldFor { //nolint:exhaustive // The others are held at step 3.
		case procedure.PhaseExecute:
			return stepExecute
		case procedure.PhaseGates:
			return stepGates
		}
		return stepRisk
	case procedure.PhaseApprove:
		return stepAuthorize
	case procedure.PhaseNotify:
		return stepNotify
	case procedure.PhaseExecute, procedure.PhaseExecuting:
		return stepExecute
	case procedure.PhaseVerify:
		return stepVerify
	case procedure.PhaseRemedy, procedure.PhaseRollingBack, procedure.PhaseVerifyRollback, procedure.PhaseEscalated:
		return stepRemediate
	case procedure.PhaseRelease, procedure.PhaseRecord, procedure.PhaseFollowUp:
		return stepRecord
	case procedure.PhaseNone, procedure.PhaseClosed:
	}
	return ""
}

// waits reports whether the phase waits for people or for a time rather than for
// the machine.
func waits(p procedure.Phase) bool {
	return p == procedure.PhaseHeld || p == procedure.PhaseApprove || p == procedure.PhaseEscalated
}

// advance notes what an event did to the steps: it ends the step that the release
// was in, well or badly, and begins or goes on with the one that it is in now.
func (t *Timeline) advance(before, after procedure.State, e procedure.Entry) {
	from, to := stepOf(before), stepOf(after)
	if from != "" && from != to && !before.Recorded {
		s := t.steps[from]
		s.status, s.ended, s.detail = leaving(before, after, e.Event), e.Stored, detail(after, e.Event)
	}
	if to != "" && from != to && !before.Recorded {
		s := t.steps[to]
		if s.started.IsZero() {
			s.started = e.Stored
		}
		s.ended, s.detail = time.Time{}, ""
	}
	if to == "" {
		return
	}
	s := t.steps[to]
	switch {
	case after.Recorded:
		// What is owed after step 8 belongs to no step.
		if !before.Recorded {
			s.status, s.ended, s.detail = recorderv1.Step_STATUS_DONE, e.Stored, detail(after, e.Event)
		}
	case waits(after.Phase):
		s.status = recorderv1.Step_STATUS_WAITING
	default:
		s.status = recorderv1.Step_STATUS_RUNNING
	}
	if from == to && !after.Recorded && (e.Event.GetNotified() == nil || to == stepNotify) {
		// Notices go out during other steps as well, and are not what those do.
		s.detail = detail(after, e.Event)
	}
}

// detail says what an event did to its step: of several waves, how many have come
// through it. They come through in their order, so the newest one tells.
func detail(s procedure.State, e *releasev1.Event) string {
	waves := len(s.Request.GetPlan().GetWaves())
	switch d := e.GetData().(type) {
	case *releasev1.Event_ExecutionFinished:
		if waves > 1 {
			return fmt.Sprintf("%d of %d waves deployed", d.ExecutionFinished.GetWave()+1, waves)
		}
	case *releasev1.Event_VerificationPassed:
		if v := d.VerificationPassed.GetVerification(); waves > 1 && !v.GetRollback() {
			return joined(fmt.Sprintf("%d of %d waves passed", v.GetWave()+1, waves), v.GetReason())
		}
	case *releasev1.Event_RiskCleared:
		// The text of the event is part of records that are closed, and stays as it is.
		if b := d.RiskCleared.GetBypassed(); len(b) > 0 {
			return "cleared as an emergency: " + strings.Join(prefixed("bypassed ", b), "; ") + "; change digest " + d.RiskCleared.GetChangeDigest()
		}
	}
	return Tell(e)
}

// leaving says how a step ended with the event that ended it.
func leaving(before, after procedure.State, e *releasev1.Event) recorderv1.Step_Status {
	switch d := e.GetData().(type) {
	case *releasev1.Event_GatesConfirmed:
		for _, v := range d.GatesConfirmed.GetVerdicts() {
			if v.GetStatus() == releasev1.GateVerdict_STATUS_BYPASSED {
				return recorderv1.Step_STATUS_BYPASSED
			}
		}
	case *releasev1.Event_ScopeValidated:
		if len(d.ScopeValidated.GetBypassed()) > 0 {
			return recorderv1.Step_STATUS_BYPASSED
		}
	case *releasev1.Event_RiskCleared:
		if len(d.RiskCleared.GetBypassed()) > 0 {
			return recorderv1.Step_STATUS_BYPASSED
		}
	case *releasev1.Event_Withdrawn, *releasev1.Event_Superseded:
		return recorderv1.Step_STATUS_SKIPPED
	}
	if bad(e) || ended(before, after) && !succeeded(after.Outcome) && after.Outcome != releasev1.Outcome_OUTCOME_ROLLED_BACK {
		return recorderv1.Step_STATUS_FAILED
	}
	return recorderv1.Step_STATUS_DONE
}

func succeeded(o releasev1.Outcome) bool {
	return o == releasev1.Outcome_OUTCOME_SUCCEEDED || o == releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES ||
		o == releasev1.Outcome_OUTCOME_ROLLED_FORWARD
}

// ended reports whether the event gave the release its outcome.
func ended(before, after procedure.State) bool {
	return before.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED && after.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
}

// Steps returns the eight steps and authorization, in their order. What was never
// begun is pending, and skipped once the release is over.
func (t *Timeline) Steps() []*recorderv1.Step {
	over := t.state.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
	out := make([]*recorderv1.Step, 0, len(stepNames))
	for _, n := range stepNames {
		s := t.steps[n.number]
		status := s.status
		if s.started.IsZero() {
			status = recorderv1.Step_STATUS_PENDING
			if over && n.number != stepRecord {
				status = recorderv1.Step_STATUS_SKIPPED
			}
		}
		out = append(out, &recorderv1.Step{
			Number: n.number, Name: n.name, Status: status,
			Started: stamp(s.started), Ended: stamp(s.ended), Detail: s.detail,
		})
	}
	return out
}

// stamp returns a time for the wire; absent for none, never zero.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
