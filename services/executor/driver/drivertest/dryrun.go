package drivertest

import (
	"context"
	"testing"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// dryRuns is what drivers of all classes promise of the dry run of the way back: people
// approve because of what it says.
func (s suite) dryRuns() []promise {
	return []promise{
		{"dry run: to nothing there is no way back, and rollback says the same", func(t *testing.T, h harness) {
			dryRun(t, h, 1, "", false)
			h.must(t, apply(1, 1, at(10)))
			dryRun(t, h, 1, "", false)
			refused(t, h, back(1, 1, at(10)), driver.ErrNoWayBack)
		}},
		{"dry run: what it says is possible, rollback does", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			dryRun(t, h, 2, h.digest(t, 1), true)
			h.must(t, apply(2, 1, at(20)))
			dryRun(t, h, 2, h.digest(t, 1), true)
			h.must(t, back(2, 1, at(20)))
			h.wants(t, 1, 3)
		}},
		{"dry run: it refuses a digest that is none", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			dryRun(t, h, 2, "sha256:0", false)
		}},
		{"dry run: it notices that what the target kept is gone", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			h.must(t, apply(2, 1, at(20)))
			if dryRun(t, h, 2, h.digest(t, 1), true).Source != releasev1.RollbackProof_SOURCE_TARGET {
				return // It keeps nothing there: where it gets it from is looked at by others.
			}
			if h.Lose == nil {
				t.Fatal("the target keeps what it goes back to, and the harness cannot lose it")
			}
			h.Lose(t, 1)
			dryRun(t, h, 2, h.digest(t, 1), false)
			if _, err := h.do(t, back(2, 1, at(20))); err == nil {
				t.Error("the rollback went through, and the dry run said that it could not")
			}
		}},
		{"dry run: a call whose context has ended says nothing", func(t *testing.T, h harness) {
			h.must(t, apply(1, 1, at(10)))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			plan := h.Plan(t, 2)
			plan.Previous = h.digest(t, 1)
			if got, err := h.Open(t).DryRunRollback(ctx, plan); err == nil {
				t.Errorf("got %+v", got)
			}
		}},
	}
}

// dryRun makes the dry run of the way back of a version, twice, and holds it against what
// it should say. The artifact has no content: a registry that has lost it must not matter.
func dryRun(t *testing.T, h harness, version int, previous string, possible bool) driver.DryRun {
	t.Helper()
	before := h.State(t)
	plan := h.Plan(t, version)
	plan.Previous = previous
	plan.Artifact = artifact.New(&releasev1.Artifact{
		Name: plan.Artifact.Name, Kind: plan.Artifact.Kind, Location: plan.Artifact.Location, Digest: plan.Artifact.Digest,
	}, plan.Artifact.Size, nil)
	first, err := h.Open(t).DryRunRollback(t.Context(), plan)
	if err != nil {
		t.Fatalf("dry run from version %d to %q: %v", version, previous, err)
	}
	if second, err := h.Open(t).DryRunRollback(t.Context(), plan); err != nil || first != second {
		t.Errorf("dry run from version %d differs from itself: %+v and %+v, %v", version, first, second, err)
	}
	if first.Possible != possible || first.Reason == "" || possible == (first.Steps == "") || first.Source == releasev1.RollbackProof_SOURCE_UNSPECIFIED {
		t.Errorf("dry run from version %d to %q: %+v; want possible %t, with a reason, a source, and steps where it is", version, previous, first, possible)
	}
	if after := h.State(t); after != before {
		t.Errorf("dry run from version %d changed the target from\n%s\nto\n%s", version, before, after)
	}
	seen, err := h.Open(t).Preview(t.Context(), plan)
	if err != nil || seen.RollbackReady != first.Possible || seen.RollbackReason != first.Reason {
		t.Errorf("the preview says %+v, %v, and the dry run %+v", seen, err, first)
	}
	return first
}
