package eventstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// sum adds up a counter over all of its labels.
func sum(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += value(m)
			}
		}
	}
	return total
}

func value(m *dto.Metric) float64 { return m.GetCounter().GetValue() }

func TestManyAppendsAreFewPublishesAndOneConflictFailsAlone(t *testing.T) {
	t.Parallel()
	const appends, unlucky = 64, 17
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		registry := prometheus.NewRegistry()
		s := eventstoretest.Store(n, procedure.ServiceApproval, eventstore.WithMetrics(registry))
		stale := following(load(t, s, fmt.Sprintf("rel.r%d", unlucky)), "stale")
		other := eventstoretest.Store(n, procedure.ServiceApproval)
		if _, err := other.Append(t.Context(), stale); err != nil {
			t.Fatal(err)
		}

		errs := make([]error, appends)
		var wg sync.WaitGroup
		for i := range appends {
			draft := following(eventstore.History{Aggregate: fmt.Sprintf("rel.r%d", i)}, "mine")
			wg.Go(func() { _, errs[i] = s.Append(t.Context(), draft) })
		}
		wg.Wait()
		for i, err := range errs {
			switch {
			case i == unlucky && !errors.Is(err, eventstore.ErrSequenceConflict):
				t.Errorf("the stale append got %v, want a sequence conflict", err)
			case i != unlucky && err != nil:
				t.Errorf("append %d: %v", i, err)
			}
		}
		if got := sum(t, registry, "shipwarden_append_publishes_total"); got >= appends/2 {
			t.Errorf("%d appends were %g publishes, want fewer than half", appends, got)
		}
		if got := sum(t, registry, "shipwarden_events_appended_total"); got != appends-1 {
			t.Errorf("%g events were counted, want %d", got, appends-1)
		}
	})
}

// lock is a batch of a release's claim and the lock of a target, as the executor
// stores it.
func lock(claim, target eventstore.History) []eventstore.Draft {
	a := following(claim, "")
	a.Event = &releasev1.Event{Data: &releasev1.Event_ExecutionClaimed{ExecutionClaimed: &releasev1.ExecutionClaimed{}}}
	b := following(target, "")
	b.Event = &releasev1.Event{Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{
		Release: claim.Aggregate[len("rel."):],
	}}}
	return []eventstore.Draft{a, b}
}

func TestAClaimAndItsLockAreStoredBothOrNot(t *testing.T) {
	t.Parallel()
	const claimers, rounds = 4, 15
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		stores := make([]*eventstore.Store, claimers)
		for i := range stores {
			stores[i] = eventstoretest.Store(n, procedure.ServiceExecutor)
		}
		for round := range rounds {
			target := load(t, stores[0], "tgt.shared")
			errs := make([]error, claimers)
			var wg sync.WaitGroup
			for i, s := range stores {
				claim := eventstore.History{Aggregate: fmt.Sprintf("rel.r%d-%d", round, i)}
				wg.Go(func() { _, errs[i] = s.Append(t.Context(), lock(claim, target)...) })
			}
			wg.Wait()
			winners := 0
			for i, err := range errs {
				claims := len(load(t, stores[0], fmt.Sprintf("rel.r%d-%d", round, i)).Entries)
				switch {
				case err == nil && claims == 1:
					winners++
				case errors.Is(err, eventstore.ErrSequenceConflict) && claims == 0:
				default:
					t.Fatalf("round %d: claimer %d got %v and stored %d claims", round, i, err, claims)
				}
			}
			if locks := len(load(t, stores[0], "tgt.shared").Entries); winners != 1 || locks != round+1 {
				t.Fatalf("round %d: %d winners and %d locks so far, want 1 and %d", round, winners, locks, round+1)
			}
		}
	})
}
