package takeback

import (
	"context"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Began is when the release was first claimed that a request takes back; zero where it takes
// back none, or not what it names. What began with that release must not keep anybody from
// taking it back (PD-3.4).
func Began(ctx context.Context, store Store, r *releasev1.Request) (time.Time, error) {
	id := r.GetRollbackOf()
	if r.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK || id == "" {
		return time.Time{}, nil
	}
	h, err := store.Beginning(ctx, procedure.Aggregate(id))
	if err != nil {
		return time.Time{}, err
	}
	of, _ := procedure.Fold(id, h.Entries)
	problems, err := Check(ctx, store, r, of)
	if err != nil || len(problems) > 0 {
		return time.Time{}, err
	}
	for _, e := range h.Entries {
		if e.Event.GetExecutionClaimed() != nil {
			return e.Stored, nil
		}
	}
	return time.Time{}, nil
}
