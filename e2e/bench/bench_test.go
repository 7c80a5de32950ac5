//go:build slow

package bench_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/bench"
)

// A run that is too small to say anything still passes through all of it: real
// releases, copies of them, questions, the record, the rebuild.
func TestASmallRunMeasuresEverything(t *testing.T) {
	var out, log bytes.Buffer
	err := bench.Run(t.Context(), bench.Config{
		Source: "../..", InFlight: 4, Workers: 4, Round: 300 * time.Millisecond, Rounds: 2, Idle: 2, Recorded: []int{10, 80}, Events: 300,
		Parts: []string{bench.PartLoad, bench.PartRecord, bench.PartStart}, Out: &out, Log: &log,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for want, times := range map[string]int{
		"T1": 2, "processor time of the bus": 2, "T2": 2, "T4": 2, "T5": 4, "T8": 1, "GetRelease p99": 1,
		// Behind few, behind many, and from the beginning.
		"T3": 3, "events recorded behind ": 2, "into an empty schema": 1,
		// How long every step took, with few and with many on record.
		"Time from one event": 2, "verification_passed  ": 2,
	} {
		if n := strings.Count(out.String(), want); n < times {
			t.Errorf("the table holds %q %d times, not %d:\n%s", want, n, times, &out)
		}
	}
	if strings.Contains(out.String(), "differs") {
		t.Errorf("the rebuilt record is another one:\n%s", &out)
	}
}
