package procedure_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestBothAreUnhealthyWhereEverythingFails on every target that was looked at, by every check
// that failed; wherever one is well, or was not asked, it is the release.
func TestBothAreUnhealthyWhereEverythingFails(t *testing.T) {
	const (
		pass = releasev1.CheckResult_VERDICT_PASS
		fail = releasev1.CheckResult_VERDICT_FAIL
		open = releasev1.CheckResult_VERDICT_INCONCLUSIVE
	)
	result := func(check, target string, v releasev1.CheckResult_Verdict) *releasev1.CheckResult {
		return &releasev1.CheckResult{Check: check, Target: target, Verdict: v}
	}
	own := []*releasev1.CheckResult{result("health", "eu1", fail), result("orders", "eu1", fail), result("login", "eu1", pass)}
	for name, test := range map[string]struct {
		own, beside []*releasev1.CheckResult
		both        bool
	}{
		"all of it":              {own, []*releasev1.CheckResult{result("health", "us1", fail), result("orders", "us1", fail)}, true},
		"on two":                 {own[:1], []*releasev1.CheckResult{result("health", "us1", fail), result("health", "us2", fail)}, true},
		"well on one of two":     {own[:1], []*releasev1.CheckResult{result("health", "us1", fail), result("health", "us2", pass)}, false},
		"not answered on one":    {own[:1], []*releasev1.CheckResult{result("health", "us1", fail), result("health", "us2", open)}, false},
		"one check was not made": {own, []*releasev1.CheckResult{result("health", "us1", fail)}, false},
		"not made on one of two": {own, []*releasev1.CheckResult{result("health", "us1", fail), result("orders", "us1", fail), result("health", "us2", fail)}, false},
		"nobody looked":          {own, nil, false},
		"nothing failed":         {own[2:], []*releasev1.CheckResult{result("login", "us1", fail)}, false},
		"another check is made":  {own[:1], []*releasev1.CheckResult{result("login", "us1", fail)}, false},
	} {
		v := &releasev1.Verification{Results: test.own, Beside: &releasev1.Beside{Results: test.beside}}
		if procedure.BothUnhealthy(v) != test.both {
			t.Errorf("%s: %v", name, !test.both)
		}
	}
}

// TestNobodyIsAskedAboutWhatChangedNothing: it goes back at once, as before, and has nowhere to
// go back from.
func TestNobodyIsAskedAboutWhatChangedNothing(t *testing.T) {
	for _, status := range []releasev1.TargetResult_Status{releasev1.TargetResult_STATUS_SKIPPED, releasev1.TargetResult_STATUS_FAILED} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseExecuting)
		e := proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": status})
		e = proceduretest.Prescribed(h.State(), e, &releasev1.Remedy{Action: releasev1.Remedy_ACTION_ESCALATE})
		if began := status == releasev1.TargetResult_STATUS_FAILED; (e.GetExecutionFailed().GetRemedy() != nil) != began {
			t.Errorf("%s: %v", status, e.GetExecutionFailed())
		}
	}
}

// byTheirHand makes of a target that failed one that somebody else has otherwise.
func byTheirHand(results []*releasev1.TargetResult, target string) {
	for _, r := range results {
		if r.GetTarget() == target {
			r.ManualChange = &releasev1.ManualChange{Object: "Deployment shop", Field: ".spec.replicas", Manager: "kubectl-edit"}
		}
	}
}

// TestNoRowIsLookedForWhereSomebodyElseChangedTheTarget: people decide, and the record names no
// row by which nothing happens.
func TestNoRowIsLookedForWhereSomebodyElseChangedTheTarget(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	e := proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_FAILED})
	byTheirHand(e.GetExecutionFailed().GetResults(), "eu1")
	e = proceduretest.Prescribed(h.State(), e, &releasev1.Remedy{Action: releasev1.Remedy_ACTION_ROLL_BACK})
	if got := e.GetExecutionFailed().GetRemedy(); got != nil {
		t.Errorf("remedy %v", got)
	}
	h.Do(t, "", e)
	if s := h.State(); s.Phase != procedure.PhaseEscalated || s.EscalatedFor != releasev1.Cause_CAUSE_MANUAL_CHANGE {
		t.Errorf("in phase %s for %s", s.Phase, s.EscalatedFor)
	}
}

// TestWhoConfirmsOneTargetDecidesNothingAboutWhatIsTheirsOnAnother: it is neither verified, and
// so taken back by itself, nor taken back because it was stopped before.
func TestWhoConfirmsOneTargetDecidesNothingAboutWhatIsTheirsOnAnother(t *testing.T) {
	for name, stopped := range map[string]bool{"on its way": false, "stopped by a person": true} {
		t.Run(name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1", "us1"})))
			h.To(t, procedure.PhaseExecuting)
			if stopped {
				h.Do(t, "eve", &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{Reason: "it is the wrong one"}}})
			}
			e := proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{
				"eu1": releasev1.TargetResult_STATUS_UNKNOWN, "us1": releasev1.TargetResult_STATUS_FAILED,
			})
			byTheirHand(e.GetExecutionUnknown().GetResults(), "us1")
			h.Do(t, "", e)
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_CONFIRM_DONE))
			s := h.State()
			if s.Phase != procedure.PhaseEscalated || s.EscalatedFor != releasev1.Cause_CAUSE_MANUAL_CHANGE || s.Result("eu1").GetStatus() != releasev1.TargetResult_STATUS_DONE {
				t.Errorf("in phase %s for %s: %v", s.Phase, s.EscalatedFor, s.Results)
			}
			if calls := procedure.DueCalls(s); len(calls) != 1 || calls[0].Cause != releasev1.Cause_CAUSE_MANUAL_CHANGE {
				t.Errorf("people are called for %v", calls)
			}
		})
	}
}
