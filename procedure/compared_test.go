package procedure_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A validator that knows of no baselines finds none in a request, looks at the bounds, and
// says that all have passed. Nothing that was to be compared passes by that.
func TestAPassThatComparedNothingDoesNotCount(t *testing.T) {
	for name, back := range map[string]bool{"on the way forth": false, "on the way back": true} {
		t.Run(name, func(t *testing.T) {
			request := proceduretest.Request()
			compared := []*releasev1.Check{{Name: "latency", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{Baseline: &releasev1.MetricBaseline{}}}}}
			phase := procedure.PhaseVerify
			if request.Validation.Checks = compared; back {
				request.RollbackPlan.Checks, phase = compared, procedure.PhaseVerifyRollback
			}
			h := proceduretest.New(request)
			h.To(t, procedure.PhaseVerify)
			if back {
				h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
				h.To(t, procedure.PhaseVerifyRollback)
			}
			good := proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false)
			bad := proto.CloneOf(good)
			for _, r := range bad.GetVerificationPassed().GetVerification().GetResults() {
				r.Comparison = ""
			}
			if err := h.Append("", proto.CloneOf(bad)); err == nil || !strings.Contains(err.Error(), "was not compared with its baseline") || h.State().Phase != phase {
				t.Errorf("got %v, in phase %s", err, h.State().Phase)
			}
			v := proto.CloneOf(bad.GetVerificationPassed().GetVerification())
			if e := procedure.DecideVerified(h.State(), v, false); e.GetVerificationInconclusive() == nil {
				t.Errorf("decided: %v", e)
			}
			h.Do(t, "", good)
		})
	}
}
