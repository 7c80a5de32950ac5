package chaos_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/chaos"
)

// The short form of `make chaos`: enough to see that the promises hold through a
// few of each fault. Whether every failpoint is passed is for the long form.
func TestPromisesHoldThroughAFewFaults(t *testing.T) {
	out := &strings.Builder{}
	dir, err := os.MkdirTemp("", "shipwarden-chaos-") //nolint:usetesting // The database's user cannot enter t.TempDir.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v, err := chaos.Run(t.Context(), chaos.Config{
		Releases: 20, Seed: 3, Duration: 15 * time.Second, Settle: 2 * time.Minute, Interval: 800 * time.Millisecond, Nap: time.Second,
		Root: "../..", Dir: dir, Out: out,
	})
	if v.Broken() != "" || (err != nil && v.Outcomes == nil) {
		t.Errorf("%v\n%s", err, out)
	}
	if len(v.Outcomes) == 0 {
		t.Error("nothing was released")
	}
}
