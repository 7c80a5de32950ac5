package execute

import (
	"context"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// paused holds a release until somebody resumes it, which wakes this step at once, or refuses its
// next wave when it has been paused for too long (PD-5.3). Nothing else is looked at, since all of it
// is when the release is resumed: what holds it now may be over by then, and would be on record
// again and again. So the hold lasts as long as the pause can.
func (s shell) paused(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	holds := []*releasev1.HoldReason{procedure.PauseHold(t.State)}
	if stuck := outlast(t, holds); len(stuck) > 0 {
		return s.refuse(t, stuck)
	}
	since := heldSince(t, []string{procedure.HoldPaused})
	if since.IsZero() {
		since = t.Now
	}
	// A margin later: the clock ends then what has not begun, and the hold is stored after this look.
	until := procedure.PauseUntil(t.State, since).Add(margin)
	back, err := s.takesBack(ctx, t)
	if err != nil {
		return nil, err
	}
	if !back.IsZero() && back.Before(until) {
		until = back
	}
	return s.hold(ctx, t, holds, until)
}

// takesBack is when the next freeze may begin by which a release that has begun is taken back, though
// it is paused; zero for never. See overrun.
func (s shell) takesBack(ctx context.Context, t reactor.Task) (first time.Time, err error) {
	if begins(t.State) || t.State.Request.GetTrigger() == releasev1.Trigger_TRIGGER_ROLLBACK {
		return time.Time{}, nil
	}
	documents, err := s.documents(ctx, t)
	if err != nil {
		return time.Time{}, err
	}
	for _, index := range documents {
		at, err := index.TakesBack(t.State, t.Now)
		if err != nil {
			return time.Time{}, err
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, nil
}
