package eventstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func writable(t *testing.T, n natstest.Server) *Store {
	t.Helper()
	if err := Provision(t.Context(), n.JetStream(), NewTopology(n.Replicas(), 64<<20).Anywhere()); err != nil {
		t.Fatal(err)
	}
	return New(n.JetStream(), envelopetest.Ring(), envelopetest.Signer(procedure.ServiceApproval), time.Now)
}

func withdrawal(aggregate string, expect uint64) Draft {
	return Draft{Aggregate: aggregate, Expect: expect, Event: &releasev1.Event{
		Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "changed my mind"}},
	}}
}

func prepared(t *testing.T, s *Store, drafts ...Draft) *group {
	t.Helper()
	g, err := s.prepare(drafts)
	if err != nil {
		t.Fatal(err)
	}
	g.ctx = t.Context()
	return g
}

func stored0(t *testing.T, s *Store, aggregate string) int {
	t.Helper()
	h, err := s.Load(t.Context(), aggregate)
	if err != nil {
		t.Fatal(err)
	}
	return len(h.Entries)
}

func TestALostAnswerIsFoundByReading(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d drafts", size), func(t *testing.T) {
			natstest.Each(t, func(t *testing.T, n natstest.Server) {
				s := writable(t, n)
				var drafts []Draft
				for i := range size {
					drafts = append(drafts, withdrawal(fmt.Sprintf("rel.r%d", i), 0))
				}
				g := prepared(t, s, drafts...)
				first, err := s.publish(t.Context(), g)
				if err != nil {
					t.Fatal(err)
				}
				// The answer is lost: all that is known is that none came.
				r := s.settle(g, nats.ErrTimeout)
				if r.err != nil || r.sequences[0] != first {
					t.Errorf("settled with %v, %v, want sequence %d", r.sequences, r.err, first)
				}
				for i := range size {
					if got := stored0(t, s, fmt.Sprintf("rel.r%d", i)); got != 1 {
						t.Errorf("aggregate %d has %d events, want 1", i, got)
					}
				}
			})
		})
	}
}

func TestARepetitionOfTheSameBytesIsStoredOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := writable(t, n)
		g := prepared(t, s, withdrawal("rel.r", 0))
		first, err := s.publish(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		// One server says "wrong sequence" here, a cluster says "duplicate".
		again, err := s.publish(t.Context(), g)
		if err == nil && again != first {
			t.Errorf("the repetition was acknowledged as %d, want %d", again, first)
		}
		if err != nil {
			if r := s.settle(g, err); r.err != nil || r.sequences[0] != first {
				t.Errorf("settled with %v, %v after %v, want sequence %d", r.sequences, r.err, err, first)
			}
		}
		if got := stored0(t, s, "rel.r"); got != 1 {
			t.Errorf("%d events are stored, want 1", got)
		}
	})
}

func TestAPublishThatNeverArrivedIsSentAgain(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := writable(t, n)
		g := prepared(t, s, withdrawal("rel.r", 0))
		if r := s.settle(g, nats.ErrNoResponders); r.err != nil || len(r.sequences) != 1 {
			t.Fatalf("settled with %v, %v", r.sequences, r.err)
		}
		if got := stored0(t, s, "rel.r"); got != 1 {
			t.Errorf("%d events are stored, want 1", got)
		}
	})
}

func TestARefusalForGoodIsNotRepeated(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := writable(t, n)
		g := prepared(t, s, withdrawal("rel.r", 0))
		r := s.settle(g, &jetstream.APIError{Code: 503, ErrorCode: codeStoreFailed, Description: "maximum bytes exceeded"})
		if !errors.Is(r.err, ErrRefused) {
			t.Errorf("settled with %v, want a refusal", r.err)
		}
		if got := stored0(t, s, "rel.r"); got != 0 {
			t.Errorf("%d events are stored, want none", got)
		}
	})
}

func TestKnowledgeOfEventsThatAreGoneIsAConflict(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := writable(t, n)
		_, err := s.Append(t.Context(), withdrawal("rel.r", 4711))
		if !errors.Is(err, ErrSequenceConflict) {
			t.Errorf("append got %v, want a sequence conflict", err)
		}
	})
}

func TestAForeignMessageInBetweenIsNoHindrance(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		s := writable(t, n)
		// Somebody had the server's answer to a publish stored as if it were an event.
		if _, err := n.JetStream().Publish(t.Context(), "rel.r.approval.withdrawn", []byte(`{"stream":"REL","seq":7}`)); err != nil {
			t.Fatal(err)
		}
		stored, err := s.Append(t.Context(), withdrawal("rel.r", 0))
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Load(t.Context(), "rel.r")
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Entries) != 1 || len(h.Invalid) != 1 || h.Last != stored[0].Sequence {
			t.Errorf("history %+v, want one event and one invalid message", h)
		}
	})
}
