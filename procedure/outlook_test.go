package procedure_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
)

// TestARecordThatIsWrittenIsDone: of a release that is closed no step is in work any more.
func TestARecordThatIsWrittenIsDone(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	for _, stage := range procedure.Stages(h.State(), h.Now) {
		if stage.Standing != procedure.StandingDone {
			t.Errorf("step %s %s: standing %d", stage.Number, stage.Name, stage.Standing)
		}
	}
}
