package procedure_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARecordIsJudged walks along a window, to the nanosecond, and through what a record may
// leave out.
func TestARecordIsJudged(t *testing.T) {
	start := proceduretest.Start
	end := start.Add(time.Hour)
	demand := procedure.RecordDemand{ID: "CHG-1", States: []string{"approved", "started"}, Service: "shop"}
	strict := demand
	strict.Window, strict.OfService = true, true
	reading := func(change func(*releasev1.RecordReading)) *releasev1.RecordReading {
		r := &releasev1.RecordReading{
			Id: "CHG-1", State: "approved", Service: "shop", WindowStart: timestamppb.New(start), WindowEnd: timestamppb.New(end),
		}
		change(r)
		return r
	}
	all := func(*releasev1.RecordReading) {}
	bare := func(r *releasev1.RecordReading) { r.WindowStart, r.WindowEnd, r.Service = nil, nil, "" }
	for _, test := range []struct {
		name   string
		demand procedure.RecordDemand
		r      *releasev1.RecordReading
		at     time.Time
		why    string
		waits  bool
	}{
		{"in its window", strict, reading(all), start, "", false},
		{"its last nanosecond", strict, reading(all), end.Add(-1), "", false},
		{"its end", strict, reading(all), end, "ended 2026-03-02T10:00:00Z", false},
		{"before its start", strict, reading(all), start.Add(-1), "", true},
		{"nothing demanded, nothing said", demand, reading(bare), end, "", false},
		{"a window demanded", procedure.RecordDemand{ID: "CHG-1", States: demand.States, Window: true}, reading(bare), start, "has no window", false},
		{"half a window", strict, reading(func(r *releasev1.RecordReading) { r.WindowStart = nil }), start, "has no window", false},
		{"an end alone", demand, reading(func(r *releasev1.RecordReading) { r.WindowStart = nil }), end, "ended", false},
		{"a service demanded", procedure.RecordDemand{ID: "CHG-1", States: demand.States, OfService: true}, reading(bare), start, "does not say which service", false},
		{"another service", demand, reading(func(r *releasev1.RecordReading) { r.Service = "Shop" }), start, `is about "Shop"`, false},
		{"another state", demand, reading(func(r *releasev1.RecordReading) { r.State = "Approved" }), start, `is in state "Approved", and must be in approved, started`, false},
		{"another record", demand, reading(func(r *releasev1.RecordReading) { r.Id = "CHG-2" }), start, `about "CHG-2"`, false},
		{"upside down", demand, reading(func(r *releasev1.RecordReading) { r.WindowEnd = r.GetWindowStart() }), start, "ends before it begins", false},
		{"none", demand, nil, start, "there is no change record CHG-1", false},
	} {
		why, from := procedure.JudgeRecord(test.demand, test.r, test.at)
		if !strings.Contains(why, test.why) || (why == "") != (test.why == "") || from.IsZero() == test.waits || test.waits && !from.Equal(start) {
			t.Errorf("%s: %q, from %s", test.name, why, from)
		}
	}
}
