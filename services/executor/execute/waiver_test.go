package execute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestNothingStartsOnAWaiverThatDoesNotSayWhere: its history is from before it had to, and
// whoever gave it may have meant another environment.
func TestNothingStartsOnAWaiverThatDoesNotSayWhere(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseGates)
	waived := proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(time.Hour))
	for _, v := range waived.GetGatesConfirmed().GetVerdicts() {
		for _, waiver := range v.GetWaivers() {
			waiver.Environment = ""
		}
	}
	r.Do(t, "", waived)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	findings := events[0].GetExecutionRefused().GetFindings()
	if len(findings) != 1 || findings[0].GetRule() != "waiver.unbound" || !strings.Contains(findings[0].GetMessage(), "anna does not say") {
		t.Errorf("%v", events)
	}
}
