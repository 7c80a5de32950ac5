package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
)

// Waiter is a release that waits for nothing but targets.
type Waiter struct {
	State   procedure.State
	History eventstore.History
}

// Waiting returns the open releases that wait for nothing but targets, and for some of these,
// which that one let go, in the order in which they were asked for. The documents say whose releases may want
// a target, as in Look. One whose history is too long is left out: nobody carries it on. What
// it costs are one read of each of these services and the histories of their open releases,
// however many were recorded before. The error is that of the store or of the context.
func Waiting(ctx context.Context, store Store, of procedure.State, let []string, documents []*policy.Index) ([]Waiter, error) {
	var out []Waiter
	seen := []string{of.Release}
	for _, service := range services(of.Request.GetService(), let, documents) {
		s, err := standing.ReadService(ctx, store, of.Request.GetEnvironment(), service)
		if err != nil {
			return nil, err
		}
		for _, id := range s.Open {
			if slices.Contains(seen, id) {
				continue
			}
			seen = append(seen, id)
			h, err := store.Beginning(ctx, procedure.Aggregate(id))
			if errors.Is(err, envelope.ErrSubject) {
				continue // No release has such a name, and it must not keep others waiting.
			}
			if err != nil {
				return nil, fmt.Errorf("look whether release %s of %s waits: %w", id, service, err)
			}
			state, _ := procedure.Fold(id, h.Entries)
			if len(h.Entries)+len(h.Invalid) < eventstore.MaxHistory && awaits(state, let) {
				out = append(out, Waiter{State: state, History: h})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Waiter) int { return cmp.Compare(first(a.History.Entries), first(b.History.Entries)) })
	return out, nil
}

// awaits reports whether a release waits for one of the targets, and for nothing but targets.
func awaits(s procedure.State, targets []string) bool {
	return slices.ContainsFunc(s.AwaitedTargets(), func(id string) bool { return slices.Contains(targets, id) })
}

// Next reports whether a release that waits for nothing but targets could go on now: nobody
// goes first, and each of them is free. Where they carry something else by now it could, for it
// is refused then, which people want to know.
func Next(ctx context.Context, store Store, l Look) (bool, error) {
	l.Later = l.State.HeldFor != procedure.PhaseExecute
	hold, err := Find(ctx, store, l)
	if err != nil || hold != nil {
		return false, err
	}
	// The targets come last. Who went first may have claimed them meanwhile, and goes first no
	// more; but then they are held.
	for _, id := range l.State.AwaitedTargets() {
		target, err := standing.ReadTarget(ctx, store, id)
		if err != nil {
			return false, err
		}
		held, err := Held(ctx, store, id, target, l.State.Release)
		if err != nil || held {
			return false, err
		}
	}
	return true, nil
}
