package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/blackdice/shipwarden/internal/eventstore"
	internalevidence "github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// backTime bounds the look for one piece, atOnce how many are looked for at a time. It is
	// longer than one attempt to read, so that a store that does not answer is no absence.
	backTime = 3 * time.Second
	atOnce   = 8
	// backWithin bounds how long a store is asked again that does not answer.
	backWithin = 30 * time.Second
)

// back is evidence of which the release says that it could not be kept, and which is in the
// store all the same: the answer to its put was lost, or somebody else has put the same. The
// event that says so wakes this step again, and verdicts rest on what is on record. Nothing
// is lost before the store says that it does not have it, or does not answer for a while:
// whoever is urgent does not wait long. Whoever merely asks keeps nothing, and is told what
// the record says.
func (s *shell) back(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	gone := missing(t.State)
	if len(gone) == 0 || s.dry {
		return nil, nil
	}
	failed := make([]error, len(gone))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, ref := range gone {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, backTime)
			defer cancel()
			_, failed[i] = s.blobs.Get(ctx, ref.GetDigest())
			return nil
		})
	}
	_ = group.Wait() // Each has its own error.
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	added := &releasev1.EvidenceAdded{}
	patient := t.Now.Before(t.State.Entered.Add(patienceOf(t.State)))
	for i, ref := range gone {
		switch err := failed[i]; {
		case err == nil:
			added.Evidence = append(added.Evidence, ref)
		case !errors.Is(err, internalevidence.ErrNotFound) && patient:
			return nil, reactor.RetryAfter(2*time.Second, fmt.Errorf("look for evidence that was not kept: %w", err))
		}
	}
	if len(added.GetEvidence()) == 0 {
		return nil, nil
	}
	return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: added}})}, nil
}

// patienceOf is how long a store is asked again that does not answer, from the step's begin.
func patienceOf(state procedure.State) time.Duration {
	return min(state.Requested.GetTimeouts().GetStep().AsDuration()/10, backWithin)
}

// missing is the evidence of a release that could not be kept, each piece once.
func missing(state procedure.State) []*releasev1.EvidenceRef {
	var out []*releasev1.EvidenceRef
	for _, ref := range state.Evidence() {
		digest := ref.GetDigest()
		if state.UnkeptReason(digest) != "" && !slices.ContainsFunc(out, func(o *releasev1.EvidenceRef) bool { return o.GetDigest() == digest }) {
			out = append(out, ref)
		}
	}
	return out
}
