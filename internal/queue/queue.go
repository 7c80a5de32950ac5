package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Store reads histories and standings.
type Store = takeback.Store

// Look is one look at who else wants the targets of a release.
type Look struct {
	// State is the release that would claim its wave, and Entries are its events.
	State   procedure.State
	Entries []procedure.Entry
	// Documents say whose releases may want a target: those of every service that one of them
	// has there, and of the release's own.
	Documents []*policy.Index
	// Now is the time by the server's clock, or later.
	Now time.Time
	// Turn is for how long one that may go on keeps its place.
	Turn time.Duration
	// Later says that the release takes nothing yet, being in step 3: whoever may goes first.
	Later bool
}

// Find returns why the release waits although its targets are free: another one goes first.
// It is nil where none does. What holds it now is one that ends by itself, so nobody but the
// other release has to do anything. The error is that of the store or of the context.
func Find(ctx context.Context, store Store, l Look) (*releasev1.HoldReason, error) {
	if len(wanted(l.State)) == 0 || len(l.State.Begun) > 0 {
		return nil, nil //nolint:nilnil // Nobody goes first.
	}
	normal, err := takeback.Normal(ctx, store, l.State.Request)
	if err != nil || !normal {
		return nil, err
	}
	return l.find(ctx, store)
}

func (l Look) find(ctx context.Context, store Store) (*releasev1.HoldReason, error) {
	var seen []string
	for _, service := range l.services() {
		s, err := standing.ReadService(ctx, store, l.State.Request.GetEnvironment(), service)
		if err != nil {
			return nil, err
		}
		for _, id := range s.Open {
			if id == l.State.Release || slices.Contains(seen, id) {
				continue
			}
			seen = append(seen, id)
			found, err := l.ahead(ctx, store, id)
			if err != nil {
				return nil, fmt.Errorf("look whether release %s of %s goes first: %w", id, service, err)
			}
			if found != nil {
				return found, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // Nobody goes first.
}

// services are those of which releases may want one of the targets.
func (l Look) services() []string {
	return services(l.State.Request.GetService(), wanted(l.State), l.Documents)
}

// services are that one, and those that a document has on one of the targets.
func services(own string, targets []string, documents []*policy.Index) []string {
	out := []string{own}
	for _, index := range documents {
		for _, id := range targets {
			for _, name := range index.Target(id).GetServices() {
				if !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// ahead says why that release goes first; nil where it does not. A history that somebody made
// too long is read as far as it goes, and a name that no release has is that of none.
func (l Look) ahead(ctx context.Context, store Store, id string) (*releasev1.HoldReason, error) {
	h, err := store.Beginning(ctx, procedure.Aggregate(id))
	if errors.Is(err, envelope.ErrSubject) {
		return nil, nil //nolint:nilnil // It must not keep anybody waiting.
	}
	if err != nil {
		return nil, err
	}
	other, _ := procedure.Fold(id, h.Entries)
	target := shared(l.State, other)
	if target == "" || !l.may(other) {
		return nil, nil //nolint:nilnil // It takes none of them now.
	}
	why := ""
	switch urgent, err := takeback.Urgent(ctx, store, other); {
	case err != nil:
		return nil, err
	case len(other.Begun) > 0:
		why = "has begun"
	case urgent:
		why = "is an emergency or a way back"
	case first(h.Entries) < first(l.Entries):
		why = "was asked for first"
	case l.Later:
		why = "may start"
	default:
		return nil, nil //nolint:nilnil // It comes later.
	}
	could, err := could(ctx, store, other)
	if err != nil || !could {
		return nil, err
	}
	return &releasev1.HoldReason{
		Rule: procedure.HoldTargetBusy, Subject: id,
		Message: fmt.Sprintf("target %s is free, and release %s, which wants it too, goes first: it %s", target, id, why),
	}, nil
}

// may reports whether the other one may claim its wave, or waits for nothing but its targets,
// and has not lost its turn. One that is paused claims nothing, whatever it waits for beside.
func (l Look) may(other procedure.State) bool {
	if other.Paused() {
		return false
	}
	switch other.Phase { //nolint:exhaustive // In no other one does a release wait to claim.
	case procedure.PhaseExecute:
		return l.Now.Sub(other.Entered) < l.Turn
	case procedure.PhaseHeld:
		return other.HeldFor == procedure.PhaseExecute && l.Now.Sub(other.HeldUntil) < l.Turn &&
			!slices.ContainsFunc(other.Holds, func(h *releasev1.HoldReason) bool { return h.GetRule() != procedure.HoldTargetBusy })
	}
	return false
}

// could reports whether a release could claim its wave now, as far as its targets go: none is
// held by another one, and none carries something else than when it was looked at.
func could(ctx context.Context, store Store, s procedure.State) (bool, error) {
	for _, id := range wanted(s) {
		target, err := standing.ReadTarget(ctx, store, id)
		if err != nil {
			return false, err
		}
		seen, now := s.Scoped(id).GetState().GetDeployed(), target.State.GetDeployed()
		if seen.GetRelease() != now.GetRelease() || seen.GetDigest() != now.GetDigest() {
			return false, nil
		}
		held, err := Held(ctx, store, id, target, s.Release)
		if err != nil || held {
			return false, err
		}
	}
	return true, nil
}

// Held reports whether another release than that one holds the target, with a lock that
// counts. Of a history that is too long the beginning says so: nobody carries on what is
// longer, and so its locks stay.
func Held(ctx context.Context, store Store, id string, target standing.Target, release string) (bool, error) {
	if target.LockedBy == "" || target.LockedBy == release {
		return false, nil
	}
	h, err := store.Beginning(ctx, procedure.Aggregate(target.LockedBy))
	if err != nil {
		return false, fmt.Errorf("look at who holds target %s: %w", id, err)
	}
	holder, _ := procedure.Fold(target.LockedBy, h.Entries)
	return holder.LockCounts(id), nil
}

// wanted are the targets of the wave in work that the release does not have yet.
func wanted(s procedure.State) []string {
	return slices.DeleteFunc(slices.Clone(s.WaveTargets()), func(id string) bool { return slices.Contains(s.Touched, id) })
}

// shared is a target that both want; empty for none.
func shared(one, other procedure.State) string {
	all := wanted(other)
	for _, id := range wanted(one) {
		if slices.Contains(all, id) {
			return id
		}
	}
	return ""
}

// first is the place of the first event.
func first(entries []procedure.Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[0].Sequence
}
