package eventstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// event is some event that the approval service may write to any release.
func event(text string) *releasev1.Event {
	return &releasev1.Event{
		Actor: &releasev1.Actor{Id: "ann", Kind: releasev1.Actor_KIND_HUMAN, Method: "token"},
		Data:  &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: text}},
	}
}

// following is a draft that comes after everything in the history.
func following(h eventstore.History, text string) eventstore.Draft {
	d := eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Event: event(text)}
	if n := len(h.Entries); n > 0 {
		newest := h.Entries[n-1]
		d.Previous = &releasev1.Previous{Sequence: newest.Sequence, Sha256: newest.Digest[:]}
	}
	return d
}

func load(t *testing.T, s *eventstore.Store, aggregate string) eventstore.History {
	t.Helper()
	h, err := s.Load(t.Context(), aggregate)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func reasons(h eventstore.History) []string {
	var out []string
	for _, e := range h.Entries {
		out = append(out, e.Event.GetWithdrawn().GetReason())
	}
	return out
}

func TestOneOfEightWritersWinsEveryRound(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 25
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		stores := make([]*eventstore.Store, writers)
		for i := range stores {
			stores[i] = eventstoretest.Store(n, procedure.ServiceApproval)
		}
		for round := range rounds {
			h := load(t, stores[0], "rel.contended")
			errs := make([]error, writers)
			var wg sync.WaitGroup
			for i, s := range stores {
				wg.Go(func() {
					_, errs[i] = s.Append(t.Context(), following(h, fmt.Sprintf("%d/%d", round, i)))
				})
			}
			wg.Wait()
			winners := 0
			for _, err := range errs {
				switch {
				case err == nil:
					winners++
				case !errors.Is(err, eventstore.ErrSequenceConflict):
					t.Fatalf("round %d: loser got %v, want a sequence conflict", round, err)
				}
			}
			if winners != 1 {
				t.Fatalf("round %d had %d winners, want 1", round, winners)
			}
		}
		if got := len(load(t, stores[1], "rel.contended").Entries); got != rounds {
			t.Errorf("%d events are stored, want %d", got, rounds)
		}
	})
}
