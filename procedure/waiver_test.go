package procedure_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnEmergencyNamesEveryGateThatItGoesAround: two people answered for a gate each, and
// neither does any more. What it says of one of them is not said of the other (PD-A.5).
func TestAnEmergencyNamesEveryGateThatItGoesAround(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseGates)
	e := proceduretest.Waived(h.State(), "tests", "anna", h.Now.Add(time.Hour))
	all := e.GetGatesConfirmed().GetVerdicts()
	waivers := all[slices.IndexFunc(all, func(v *releasev1.GateVerdict) bool { return v.GetGate() == "tests" })].GetWaivers()
	for _, v := range all {
		v.Status, v.Waivers = releasev1.GateVerdict_STATUS_WAIVED, waivers
	}
	h.Do(t, "", e)
	h.To(t, procedure.PhaseExecute)
	ends := waivers[0].GetExpires().AsTime()
	if early := h.State().LapsedGates(ends.Add(-1)); len(early) != 0 {
		t.Errorf("over before their time: %v", early)
	}
	lapsed := h.State().LapsedGates(ends)
	if len(lapsed) < 2 {
		t.Fatalf("%d gates are over: %v", len(lapsed), all)
	}
	h.Advance(time.Hour)
	claim := proceduretest.Claim(h.State(), "executor-1", h.Now)
	for i, g := range lapsed {
		if err := h.Append("", claim); !errors.Is(err, procedure.ErrInvalidTransition) {
			t.Errorf("it names %d of %d gates: %v", i, len(lapsed), err)
		}
		claim.GetExecutionClaimed().Bypassed = append(claim.GetExecutionClaimed().Bypassed, procedure.GateBypass(g.Gate))
	}
	h.Do(t, "", claim)
}
