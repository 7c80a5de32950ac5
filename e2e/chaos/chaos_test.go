//go:build slow

package chaos_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/chaos"
)

// releases of the short form: each lane has one to go back to, and then all fates.
const releases = 60

// The short form of `make chaos`: enough to see that the promises hold through a few of
// each fault, for releases of every fate. Whether every failpoint is passed, and the bus
// killed wherever it matters, is for the long form.
func TestPromisesHoldThroughAFewFaults(t *testing.T) {
	out := &strings.Builder{}
	dir, err := os.MkdirTemp("", "shipwarden-chaos-") //nolint:usetesting // The database's user cannot enter t.TempDir.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v, err := chaos.Run(t.Context(), chaos.Config{
		Releases: releases, Seed: 3, Duration: 25 * time.Minute, Settle: 6 * time.Minute, Interval: 800 * time.Millisecond, Nap: time.Second,
		Blackout: time.Hour, // It takes longer than all of the rest.
		Root:     "../..", Dir: dir, Out: out,
	})
	if err != nil && !errors.Is(err, chaos.ErrBroken) {
		t.Fatalf("%v\n%s", err, out)
	}
	if v.Broken() != "" || v.Asked != releases || v.Settled != releases {
		t.Errorf("%d asked for, %d settled, %v\n%s", v.Asked, v.Settled, err, out)
	}
	if v.Forged == 0 {
		t.Errorf("no executor refused what was authorized in other people's names\n%s", out)
	}
	for _, kind := range []string{"succeeded", "rolled_back", "rejected", "withdrawn"} {
		if v.Outcomes[kind] == 0 {
			t.Errorf("no release ended as %s\n%s", kind, out)
		}
	}
	for _, kind := range []string{"approval_given", "aborted", "review_completed", "expired"} {
		if v.Passed[kind] == 0 {
			t.Errorf("no release had the event %s\n%s", kind, out)
		}
	}
}
