package eventstore

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What a condition hid is put on by hand: one server on its own leaves no such gap.
func TestACountedHistoryHasWhatAConditionHid(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		if err := Provision(t.Context(), n.JetStream(), NewTopology(n.Replicas(), 64<<20).Anywhere()); err != nil {
			t.Fatal(err)
		}
		s := New(n.JetStream(), envelopetest.Ring(), envelopetest.Signer(procedure.ServiceApproval), time.Now)
		var head procedure.Head
		for range 3 {
			stored, err := s.Append(t.Context(), Draft{
				Aggregate: "rel.r", Expect: head.Sequence, Previous: head.Previous(),
				Event: &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "x"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			head = procedure.Head{Sequence: stored[0].Sequence, Digest: stored[0].Digest}
		}
		if _, err := s.Load(t.Context(), "rel.r"); err != nil {
			t.Fatal(err)
		}
		known, err := s.cache.take(t.Context(), "rel.r")
		if err != nil {
			t.Fatal(err)
		}
		known.entries = append(known.entries[:1:1], known.entries[2])
		known.folded = 0
		s.cache.give(known)

		if h, err := s.Load(t.Context(), "rel.r"); err != nil || len(h.Entries) != 2 {
			t.Fatalf("load found %d entries (%v), want the two that are known", len(h.Entries), err)
		}
		for range 2 {
			if h, err := s.LoadCounted(t.Context(), "rel.r"); err != nil || len(h.Entries) != 3 || h.Last != head.Sequence {
				t.Fatalf("counted, it found %d entries up to %d (%v), want three", len(h.Entries), h.Last, err)
			}
		}
		if h, err := s.LoadCounted(t.Context(), "rel.nothing"); err != nil || h.Last != 0 {
			t.Errorf("of nothing it found %v (%v)", h, err)
		}
	})
}
