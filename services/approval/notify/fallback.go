package notify

import (
	"context"
	"sync"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// standIn tells the fallback of each channel that was not told: it has a key of its own,
// so that what it is told does not depend on which others failed. A channel that is told
// anyway is not told twice; that it was told stands for the other one, too.
func (s shell) standIn(ctx context.Context, m Message, h hearing, x raised, history eventstore.History, found loose, all []told) error {
	var done sync.WaitGroup
	for i, c := range h.channels {
		if all[i].err != nil || all[i].receipt.GetDelivered() || c.GetFallback() == "" {
			continue
		}
		if at := h.index(c.GetFallback()); at >= 0 {
			if all[at].err == nil && all[at].receipt.GetDelivered() {
				all[i].again = false // Whoever listens there has heard it.
			}
			continue
		}
		done.Go(func() {
			own := m
			own.Key += "/" + c.GetName()
			own.People = h.people(c.GetName())
			own.settle(x, history, c.GetFallback())
			own.also(found[c.GetFallback()])
			instead := s.tell(ctx, c.GetFallback(), own, alone)
			if instead.receipt != nil {
				instead.receipt.InsteadOf = c.GetName()
			}
			all[i].instead = &instead
		})
	}
	done.Wait()
	for _, each := range all {
		if each.instead != nil && each.instead.err != nil {
			return each.instead.err
		}
	}
	return nil
}

// stoodIn reports whether another channel was told instead.
func (t told) stoodIn() bool { return t.instead != nil && t.instead.receipt.GetDelivered() }

// index is the place of a channel among those that are told; -1 where it is not.
func (h hearing) index(name string) int {
	for i, c := range h.channels {
		if c.GetName() == name {
			return i
		}
	}
	return -1
}
