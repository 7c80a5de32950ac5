package proceduretest

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// detours are phases that the good way does not pass, and how it is left for them.
var detours = map[procedure.Phase]procedure.Phase{
	procedure.PhaseHeld:           procedure.PhaseRisk,
	procedure.PhaseRemedy:         procedure.PhaseVerify,
	procedure.PhaseRollingBack:    procedure.PhaseVerify,
	procedure.PhaseVerifyRollback: procedure.PhaseVerify,
	procedure.PhaseEscalated:      procedure.PhaseExecuting,
}

// To appends events until the release is in that phase: by the good way as far as
// it goes there, and otherwise by a freeze, a failed validation or an unknown
// outcome. It fails the test where the phase lies behind.
func (h *History) To(tb testing.TB, phase procedure.Phase) {
	tb.Helper()
	if fork, ok := detours[phase]; ok && h.state.Phase <= fork {
		h.To(tb, fork)
		switch phase {
		case procedure.PhaseHeld:
			h.Do(tb, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: Hold("freeze", h.Now.Add(6*time.Hour))}})
		case procedure.PhaseEscalated:
			h.Do(tb, "", Executed(h.state, map[string]releasev1.TargetResult_Status{
				h.state.WaveTargets()[0]: releasev1.TargetResult_STATUS_UNKNOWN,
			}))
		default:
			h.Do(tb, "", Verified(h.state, releasev1.CheckResult_VERDICT_FAIL, false))
		}
	}
	for range 200 {
		if h.state.Phase == phase {
			return
		}
		person, event := h.Good()
		h.Do(tb, person, event)
	}
	tb.Fatalf("release %s in phase %s: phase %s is not ahead", h.Release, h.state.Phase, phase)
}

// Good returns the next event on the way to a good end, and the person who causes
// it; an empty name stands for the service, and nil for the end.
func (h *History) Good() (person string, event *releasev1.Event) {
	s, at := h.state, h.Now.Add(h.Pace)
	switch s.Phase {
	case procedure.PhaseNone:
		return "", Requested(h.Asked, at)
	case procedure.PhaseGates:
		return "", Gates(s)
	case procedure.PhaseScope:
		return "", Scope(s)
	case procedure.PhasePreview:
		return "", Preview(s, h.Class, nil, nil)
	case procedure.PhaseRisk:
		return "", Risk(s, at)
	case procedure.PhaseApprove:
		return h.approve(at)
	case procedure.PhaseNotify:
		return "", Notify(s)
	case procedure.PhaseExecute:
		return "", Claim(s, "executor-1", at)
	case procedure.PhaseExecuting:
		return "", Executed(s, nil)
	case procedure.PhaseVerify, procedure.PhaseVerifyRollback:
		return "", Verified(s, releasev1.CheckResult_VERDICT_PASS, false)
	case procedure.PhaseRemedy:
		return "", Remedy(s, "executor-1", at)
	case procedure.PhaseRollingBack:
		return "", RolledBack(s, nil)
	case procedure.PhaseEscalated:
		return "eve", Intervene(procedure.Interventions(s)[0])
	case procedure.PhaseRelease:
		return "", Released(s)
	case procedure.PhaseRecord:
		return "", Recorded(s)
	case procedure.PhaseHeld:
		h.Advance(s.HeldUntil.Sub(h.Now))
		return "", procedure.DecideDeadline(s, s.HeldUntil)
	case procedure.PhaseFollowUp:
		return h.followUp(at)
	case procedure.PhaseClosed:
	}
	return "", nil
}

func (h *History) approve(at time.Time) (string, *releasev1.Event) {
	if e := Authorize(h.state, at); e != nil {
		return "", e
	}
	for _, person := range []string{"anna", "ben", "eve", "cleo", "dan"} {
		if procedure.MayApprove(h.state, Person(person), h.state.ChangeDigest, at) == nil {
			return person, Approval(h.state, at.Add(12*time.Hour))
		}
	}
	return "", nil
}

func (h *History) followUp(at time.Time) (string, *releasev1.Event) {
	s := h.state
	switch {
	case len(s.Wanted) > 0:
		return "", Notify(s)
	case len(procedure.DueCalls(s)) > 0:
		return "", Escalate(s, at)
	case len(s.OpenEscalations()) > 0:
		return "eve", Acknowledge(s.OpenEscalations()[0])
	case procedure.MayClose(s):
		return "eve", CloseIncident(s)
	default:
		return "cleo", Review()
	}
}
