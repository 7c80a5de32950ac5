package record_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// TestExceptionsAreCountedWhenTheyAreRecorded, those of administrators as well, who write
// to the bus and have no process that could be asked; a copy counts for nothing.
func TestExceptionsAreCountedWhenTheyAreRecorded(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	s := recordertest.LiveStream()
	back := history(t, s, "back", procedure.PhaseVerify)
	back.Do(t, "", proceduretest.Verified(back.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	back.To(t, procedure.PhaseVerifyRollback)
	recordertest.Publish(t, n, back.Entries...)
	h := history(t, s, "a", procedure.PhaseRisk)
	h.Do(t, "ben", proceduretest.Override("freeze-1"))
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: &releasev1.Held{Reasons: []*releasev1.HoldReason{
		{Rule: "freeze", Subject: "a"}, {Rule: "freeze", Subject: "b"}, {Rule: "change_record.unknown", Subject: "change"},
	}, Until: proceduretest.Hold("x", s.Now.Add(time.Minute)).GetUntil()}}})
	recordertest.Publish(t, n, h.Entries...)
	copied := h.Entries[len(h.Entries)-2] // the exception
	copied.Sequence = s.Last + 1
	copied.Event.Id = "00000000-0000-7000-8000-ffffffffffff"
	recordertest.Publish(t, n, copied)
	last := overridden(t, n, "PROC-TEST-001")
	r := start(t, n, dsn, nil)
	reaches(t, dsn, last)
	want := `
# HELP shipwarden_holds_total Reasons for which releases had to wait, each time that they were looked at, by rule.
# TYPE shipwarden_holds_total counter
shipwarden_holds_total{rule="change_record.unknown"} 1
shipwarden_holds_total{rule="freeze"} 1
# HELP shipwarden_overrides_total Exceptions that were made: of a freeze for one release, or of the change control of the procedure document.
# TYPE shipwarden_overrides_total counter
shipwarden_overrides_total{of="freeze"} 1
shipwarden_overrides_total{of="procedure"} 1
# HELP shipwarden_rollbacks_total Ways back that were taken, or could not be, by what came of them.
# TYPE shipwarden_rollbacks_total counter
shipwarden_rollbacks_total{result="done"} 1
`
	natstest.Eventually(t, "exceptions that are counted", func() bool {
		return testutil.GatherAndCompare(r.registry, strings.NewReader(want), "shipwarden_holds_total", "shipwarden_overrides_total", "shipwarden_rollbacks_total") == nil
	})
}

// TestAnExceptionIsCountedHoweverLateItIsRecorded: whoever can keep the recorder down is
// seen all the same. What was there before an empty record began is of the past.
func TestAnExceptionIsCountedHoweverLateItIsRecorded(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	later := func(r *record.Recorder) { r.Clock(func() time.Time { return time.Now().Add(2 * time.Hour) }) }
	for i, want := range []string{"", "shipwarden_overrides_total{of=\"procedure\"} 1\n"} {
		last := overridden(t, n, fmt.Sprintf("PROC-TEST-00%d", i))
		committed := make(chan uint64, 16)
		r := start(t, n, dsn, func(_ context.Context, w ledger.Written) { committed <- w.Checkpoint.Sequence }, later)
		for at := uint64(0); at < last; { // It has counted before it tells of it.
			select {
			case at = <-committed:
			case <-time.After(time.Minute):
				t.Fatalf("message %d is not recorded", last)
			}
		}
		if want != "" {
			want = "# HELP shipwarden_overrides_total Exceptions that were made: of a freeze for one release, or of the change control of the procedure document.\n" +
				"# TYPE shipwarden_overrides_total counter\n" + want
		}
		if err := testutil.GatherAndCompare(r.registry, strings.NewReader(want), "shipwarden_overrides_total"); err != nil {
			t.Errorf("start %d: %v", i+1, err)
		}
		r.stop()
	}
}

// overridden puts a document into effect around the change control, and returns where.
func overridden(t *testing.T, n natstest.Server, document string) uint64 {
	t.Helper()
	stored, err := eventstoretest.Store(n, procedure.ServiceApproval).Append(t.Context(), eventstore.Draft{
		Aggregate: procedure.ProcedureAggregate(document), Event: &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
			ProcedureActivated: &releasev1.ProcedureActivated{
				Version: "2", Digest: proceduretest.Digest('2'), Reason: "it burns", Administrative: releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE,
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored[0].Sequence
}
