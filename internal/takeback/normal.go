package takeback

import (
	"context"
	"errors"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Normal reports whether a request is one that debts, neighbors in flight and incidents hold:
// every one but an emergency, and a rollback that takes back what it names. What only calls
// itself a rollback is as normal as any planned release, and so is one of what no release is
// called (PD-2.3, PD-A.5).
func Normal(ctx context.Context, store Store, r *releasev1.Request) (bool, error) {
	if r.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK {
		return r.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED, nil
	}
	h, err := store.Beginning(ctx, procedure.Aggregate(r.GetRollbackOf()))
	if errors.Is(err, envelope.ErrSubject) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	of, _ := procedure.Fold(r.GetRollbackOf(), h.Entries)
	problems, err := Check(ctx, store, r, of)
	return len(problems) > 0, err
}

// Urgent reports whether a release waits for nobody's turn and no neighbor: an emergency, and a
// rollback that takes back what it names. What only calls itself a rollback waits, and who
// waited for it in turn would wait in a circle.
func Urgent(ctx context.Context, store Store, s procedure.State) (bool, error) {
	if !s.Urgent() {
		return false, nil
	}
	normal, err := Normal(ctx, store, s.Request)
	return !normal, err
}
