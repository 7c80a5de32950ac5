package execute

import (
	"context"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// first holds a start by the release that goes first for one of its targets, although they are
// free; nil where none does (PD-3.3). The other one uses its turn or loses it: package queue.
func (s shell) first(ctx context.Context, t reactor.Task, documents []*policy.Index) ([]eventstore.Draft, error) {
	hold, err := queue.Find(ctx, s.Store, queue.Look{
		State: t.State, Entries: t.History.Entries, Documents: documents, Now: t.Now,
		Turn: documents[0].Document().GetDeadlines().GetRecheck().AsDuration(),
	})
	if err != nil || hold == nil {
		return nil, err
	}
	return s.wait(ctx, t, []*releasev1.HoldReason{hold})
}
