package eventstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

// writeOn appends numbered events to one aggregate until told to stop, and
// returns what was acknowledged.
func writeOn(ctx context.Context, s *eventstore.Store, aggregate string, stop <-chan struct{}) (acked []string, err error) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return acked, nil
		default:
		}
		h, err := s.Load(ctx, aggregate)
		if errors.Is(err, eventstore.ErrUnavailable) {
			continue
		}
		if err != nil {
			return acked, err
		}
		text := fmt.Sprint(i)
		switch _, err := s.Append(ctx, following(h, text)); {
		case err == nil:
			acked = append(acked, text)
		case errors.Is(err, eventstore.ErrUndecided), errors.Is(err, context.DeadlineExceeded):
			// Stored or not: the next number comes after it either way.
		default:
			return acked, err
		}
	}
}

// missing returns what was acknowledged and is not stored, and twice what is
// stored more than once.
func missing(acked, stored []string) (lost, twice []string) {
	count := map[string]int{}
	for _, text := range stored {
		if count[text]++; count[text] == 2 {
			twice = append(twice, text)
		}
	}
	for _, text := range acked {
		if count[text] == 0 {
			lost = append(lost, text)
		}
	}
	return lost, twice
}

func TestWhatWasAcknowledgedIsStoredOnceThoughServersFall(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		const writers = 6
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		stop := make(chan struct{})
		acked, errs := make([][]string, writers), make([]error, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() { acked[i], errs[i] = writeOn(t.Context(), s, fmt.Sprintf("rel.r%d", i), stop) })
		}
		for range 3 {
			grown := progress(t, s)
			natstest.Eventually(t, "writers that go on", grown)
			n.Restart(t, n.Leader(t, eventstore.StreamEvents))
		}
		natstest.Eventually(t, "writers that go on", progress(t, s))
		close(stop)
		wg.Wait()

		fresh := eventstoretest.Store(n, procedure.ServiceApproval)
		for i := range writers {
			if errs[i] != nil {
				t.Errorf("writer %d: %v", i, errs[i])
			}
			h := load(t, fresh, fmt.Sprintf("rel.r%d", i))
			if lost, twice := missing(acked[i], reasons(h)); len(lost)+len(twice) > 0 {
				t.Errorf("writer %d: of %d acknowledged lost %v, stored twice %v", i, len(acked[i]), lost, twice)
			}
			if len(h.Invalid) > 0 {
				t.Errorf("writer %d: invalid messages %v", i, h.Invalid)
			}
		}
	})
}

// progress returns a function that reports whether the first writer has stored
// five more events since.
func progress(t *testing.T, s *eventstore.Store) func() bool {
	t.Helper()
	have := func() int {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h, err := s.Load(ctx, "rel.r0")
		if err != nil {
			return -1
		}
		return len(h.Entries)
	}
	start := -1
	return func() bool {
		now := have()
		if start < 0 {
			start = now
		}
		return start >= 0 && now >= start+5
	}
}

func TestHistoryGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		epoch, err := s.Epoch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), following(load(t, s, "rel.r"), "before")); err != nil {
			t.Fatal(err)
		}
		for i := range n.Size() {
			n.Restart(t, i)
		}
		if _, err := s.Append(t.Context(), following(load(t, s, "rel.r"), "after")); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]string{"before", "after"}, reasons(load(t, s, "rel.r"))); diff != "" {
			t.Error(diff)
		}
		again, err := s.Epoch(t.Context())
		if err != nil || again != epoch {
			t.Errorf("epoch %q, %v after the restart, want %q", again, err, epoch)
		}
	})
}

func TestSequencesOfABatchAreThoseOfTheStream(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		s := eventstoretest.Store(n, procedure.ServiceApproval)
		var drafts []eventstore.Draft
		for i := range 20 {
			drafts = append(drafts, following(load(t, s, fmt.Sprintf("rel.r%d", i)), "x"))
		}
		stored, err := s.Append(t.Context(), drafts...)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range stored {
			h := load(t, s, drafts[i].Aggregate)
			if len(h.Entries) != 1 || h.Last != want.Sequence || h.Entries[0].Digest != want.Digest {
				t.Errorf("%s: history %v, want sequence %d", drafts[i].Aggregate, h, want.Sequence)
			}
		}
		if !slices.IsSortedFunc(stored, func(a, b eventstore.Stored) int { return cmp.Compare(a.Sequence, b.Sequence) }) {
			t.Error("sequences are not in the order of the drafts")
		}
	})
}
