package procedure_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
)

func TestALockCountsFromItsClaimUntilItIsLetGo(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	for _, step := range []struct {
		phase    procedure.Phase
		eu1, us1 bool
	}{
		{procedure.PhaseExecute, false, false},
		{procedure.PhaseExecuting, true, false},
		{procedure.PhaseVerify, true, false},
		{procedure.PhaseExecuting, true, true},
		{procedure.PhaseRelease, true, true},
		{procedure.PhaseRecord, false, false},
		{procedure.PhaseClosed, false, false},
	} {
		h.To(t, step.phase)
		if s := h.State(); s.LockCounts("eu1") != step.eu1 || s.LockCounts("us1") != step.us1 || s.LockCounts("eu9") {
			t.Errorf("in phase %s: eu1 %t, us1 %t, eu9 %t", s.Phase, s.LockCounts("eu1"), s.LockCounts("us1"), s.LockCounts("eu9"))
		}
	}
}
