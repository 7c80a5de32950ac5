package record

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARecordThatIsWrittenAnewCountsNothingOfThePast: nobody is to be alarmed today by an
// exception of last year. A document that was approved is none.
func TestARecordThatIsWrittenAnewCountsNothingOfThePast(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	n := newNotable(nil)
	var entries []procedure.Entry
	for _, ago := range []time.Duration{2 * time.Hour, 59 * time.Minute} {
		entries = append(entries, procedure.Entry{Stored: now.Add(-ago), Event: proceduretest.Override("a")})
	}
	for _, how := range []releasev1.ProcedureActivated_Administrative{
		releasev1.ProcedureActivated_ADMINISTRATIVE_UNSPECIFIED, releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST, releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE,
	} {
		entries = append(entries, procedure.Entry{Stored: now, Event: &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
			ProcedureActivated: &releasev1.ProcedureActivated{Administrative: how},
		}}})
	}
	for _, noneLeft := range []bool{true, false} {
		entries = append(entries, procedure.Entry{Stored: now, Event: &releasev1.Event{Data: &releasev1.Event_ProcedureReviewed{
			ProcedureReviewed: &releasev1.ProcedureReviewed{NoneLeft: noneLeft},
		}}})
	}
	// One of another id that is put beside the one in effect goes around it as well.
	entries = append(entries, procedure.Entry{Stored: now, Event: &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Administrative: releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST, Beside: []string{"proc-old"}},
	}}})
	// What held a release before the recorder went on holds nothing any more.
	held := &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold("freeze", now)}}
	for _, ago := range []time.Duration{2 * time.Hour, time.Minute} {
		entries = append(entries, procedure.Entry{Sequence: 2, Stored: now.Add(-ago), Event: held})
	}
	n.observe(slices.Values(entries), 1, now)
	if got := testutil.ToFloat64(n.holds.WithLabelValues("freeze")); got != 1 {
		t.Errorf("%v holds, want 1", got)
	}
	for of, want := range map[string]float64{"freeze": 1, "procedure": 2, "procedure_review": 1} {
		if got := testutil.ToFloat64(n.overrides.WithLabelValues(of)); got != want {
			t.Errorf("%v exceptions of a %s, want %v", got, of, want)
		}
	}
}
