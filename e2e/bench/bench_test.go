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
		Source: "../..", InFlight: 4, Workers: 4, Round: 300 * time.Millisecond, Rounds: 1, Idle: 2, Recorded: []int{10, 80}, Events: 300,
		Parts: []string{bench.PartLoad, bench.PartRecord}, Out: &out, Log: &log,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, want := range []string{"T1", "T2", "T3", "T4", "T5", "verification_passed", "GetRelease p99"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not hold %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "differs") {
		t.Errorf("the rebuilt record is another one:\n%s", &out)
	}
}
