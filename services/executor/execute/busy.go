package execute

import (
	"context"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// taken makes the start wait where another release holds one of the wave's targets, which
// are as it looked at them (PD-5.2). The claim looks again.
func (s shell) taken(ctx context.Context, t reactor.Task, looked map[string]standing.Target) ([]eventstore.Draft, error) {
	for _, id := range t.State.WaveTargets() {
		held, err := s.Held(ctx, id, looked[id], t.State.Release)
		if err != nil {
			return nil, err
		}
		if held {
			return s.busy(ctx, t, looked[id].LockedBy)
		}
	}
	return nil, nil
}

// busy makes the start wait for the release that holds one of its targets.
func (s shell) busy(ctx context.Context, t reactor.Task, by string) ([]eventstore.Draft, error) {
	return s.wait(ctx, t, []*releasev1.HoldReason{{
		Rule: procedure.HoldTargetBusy, Subject: by, Message: "a target of the wave is held by release " + by,
	}})
}
