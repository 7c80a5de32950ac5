package e2e

import (
	"testing"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A planned release goes through all eight steps and is on record.
func TestPlannedReleaseGoesThroughTheWholeProcedure(t *testing.T) {
	for name, launch := range launchers(t) {
		t.Run(name, func(t *testing.T) {
			y := open(t, launch, nil)
			id := y.submit(y.build("1.0.0", 0), "build-1", nil)
			y.approve(id, "carol", "dave")
			y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
		})
	}
}
