package execute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAFullStoreOfEvidenceHoldsAStartAndNoEmergency: the change record is looked up again and
// its answer cannot be kept. A planned start waits, in words; an emergency that may not go
// around the rule starts by what was said, and its claim says that nobody can look at it.
func TestAFullStoreOfEvidenceHoldsAStartAndNoEmergency(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	s, connectors := records(t, w)
	w.Digest = w.Keep(t, sitetest.Document(strings.Replace(demanded, "bypassable: true", "bypassable: false", 1)))
	s.Set("CHG-1042", changerecordtest.Record{State: "-1", Service: "shop", End: time.Now().Add(time.Hour)})
	planned, urgent := w.Release(t, proceduretest.Key("planned")), w.Release(t, proceduretest.Key("urgent"), proceduretest.Emergency)
	planned.To(t, procedure.PhaseExecute)
	urgent.To(t, procedure.PhaseExecute)
	eventstoretest.Full(t, w)
	e := w.Executor(t, "one", nil)
	e.Connectors = connectors
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), planned.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if got := planned.State(t); got.Phase != procedure.PhaseHeld || got.Holds[0].GetRule() != "change_record.unknown" ||
		!strings.Contains(got.Holds[0].GetMessage(), "its answer cannot be kept as evidence, the evidence store is full") {
		t.Errorf("planned: in phase %s, %v", got.Phase, got.Holds)
	}
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), urgent.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	h := urgent.History(t)
	claimed := h.Entries[len(h.Entries)-1].Event
	if said := claimed.GetExecutionClaimed().GetChangeRecords(); urgent.State(t).Phase != procedure.PhaseExecuting || len(said) != 1 ||
		len(claimed.GetUnkept()) != 1 || claimed.GetUnkept()[0].GetDigest() != said[0].GetDigest() {
		t.Errorf("an emergency: in phase %s, it claims by %v, not kept is %v", urgent.State(t).Phase, said, claimed.GetUnkept())
	}
}
