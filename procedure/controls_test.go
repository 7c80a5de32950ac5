package procedure_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A check of controls of security has a result for each of them and none by its own name. It passes
// by all of these, and by nothing less.
func TestACheckOfControlsPassesByTheResultOfEach(t *testing.T) {
	security := []*releasev1.Check{{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
		Workloads:    &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}},
		ImageDigests: &releasev1.KubernetesImageControl{}, NetworkPolicy: &releasev1.KubernetesNetworkControl{Ingress: true},
	}}}}
	for name, back := range map[string]bool{"on the way forth": false, "on the way back": true} {
		t.Run(name, func(t *testing.T) {
			request := proceduretest.Request()
			phase := procedure.PhaseVerify
			if request.Validation.Checks = security; back {
				request.RollbackPlan.Checks, phase = security, procedure.PhaseVerifyRollback
			}
			h := proceduretest.New(request)
			h.To(t, procedure.PhaseVerify)
			if back {
				h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
				h.To(t, procedure.PhaseVerifyRollback)
			}
			v := &releasev1.Verification{}
			for _, control := range []string{"security.image_digests", "security.network_policy"} {
				v.Results = append(v.Results, &releasev1.CheckResult{Check: control, Target: "eu1", Verdict: releasev1.CheckResult_VERDICT_PASS, Samples: 12})
			}
			good := procedure.DecideVerified(h.State(), proto.CloneOf(v), false)
			if good.GetVerificationPassed() == nil {
				t.Fatalf("decided: %v", good)
			}
			bad := proto.CloneOf(good)
			of := bad.GetVerificationPassed().GetVerification()
			of.Results = slices.DeleteFunc(of.GetResults(), func(r *releasev1.CheckResult) bool { return r.GetCheck() == "security.network_policy" })
			if err := h.Append("", bad); err == nil || !strings.Contains(err.Error(), "check security.network_policy of target eu1 has no result") || h.State().Phase != phase {
				t.Errorf("without one of them: %v, in phase %s", err, h.State().Phase)
			}
			h.Do(t, "", good)
		})
	}
}
