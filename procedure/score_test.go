package procedure_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What step 3 weighed is known from then on, whether it was cleared or refused: by it is
// found who is told.
func TestWhatWasWeighedIsRemembered(t *testing.T) {
	for name, findings := range map[string][]*releasev1.Finding{"cleared": nil, "refused": proceduretest.Blocking("risk.bake")} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseRisk)
		if h.State().Score != nil {
			t.Errorf("%s: it is known before: %v", name, h.State().Score)
		}
		h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) {
			f.Findings, f.Score = findings, &releasev1.RiskScore{Score: 44}
		}))
		if got := h.State().Score.GetScore(); got != 44 {
			t.Errorf("%s: %d", name, got)
		}
	}
}
