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
