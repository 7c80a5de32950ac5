package drivertest

import (
	"context"
	"errors"
	"testing"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// diffs is what drivers of all classes promise that ask a tool of the target's own what
// would change: people approve what it says, and the start holds it against that.
func (s suite) diffs() []promise {
	return []promise{
		{"diff: it changes nothing and says the same again", func(t *testing.T, h harness) {
			diff(t, h, 1)
			h.must(t, apply(1, 1, at(10)))
			diff(t, h, 2)
		}},
		{"diff: of a digest that is none, and with an ended context, it says nothing", func(t *testing.T, h harness) {
			d, plan := h.Open(t), h.Plan(t, 1)
			if asked, err := d.Diff(t.Context(), plan); err == nil && !asked.Asked {
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if got, err := d.Diff(ctx, plan); err == nil {
				t.Errorf("with an ended context: %+v", got)
			}
			plan.Artifact = artifact.New(&releasev1.Artifact{Name: "shop", Digest: "sha256:0"}, 0, nil)
			if got, err := d.Diff(t.Context(), plan); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("of a digest that is none: %+v, %v", got, err)
			}
		}},
	}
}

// diff asks twice what would change, with an artifact that has no content where the driver
// does without.
func diff(t *testing.T, h harness, version int) {
	t.Helper()
	plan := h.Plan(t, version)
	plan.Previous = h.digest(t, version-1)
	if !h.DiffReads {
		plan.Artifact = artifact.New(&releasev1.Artifact{
			Name: plan.Artifact.Name, Kind: plan.Artifact.Kind, Location: plan.Artifact.Location, Digest: plan.Artifact.Digest,
		}, plan.Artifact.Size, nil)
	}
	var first driver.Diff
	for i := range 2 {
		before := h.State(t)
		got, err := h.Open(t).Diff(t.Context(), plan)
		if err != nil {
			t.Fatalf("diff of version %d: %v", version, err)
		}
		if after := h.State(t); after != before {
			t.Errorf("diff of version %d changed the target from\n%s\nto\n%s", version, before, after)
		}
		if i > 0 && got != first {
			t.Errorf("diff of version %d differs from itself: %+v and %+v", version, first, got)
		}
		if first = got; got.Asked && (got.Failed != "" || got.Text == "") {
			t.Errorf("diff of version %d: %+v; the harness's tool must say something", version, got)
		}
	}
}
