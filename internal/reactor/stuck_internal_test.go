package reactor

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

// TestPeopleAreToldOfTheEighthFailure sets the seven before, which take two minutes.
func TestPeopleAreToldOfTheEighthFailure(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		for name, test := range map[string]struct {
			failed int
			err    error
			notes  uint64
			then   past
		}{
			"the seventh":            {stuckAfter - 2, errors.New("no space left"), 0, past{seen: 1, failed: stuckAfter - 1}},
			"the eighth":             {stuckAfter - 1, errors.New("no space left"), 1, past{seen: 1, failed: stuckAfter}},
			"put off after seven":    {stuckAfter - 1, RetryAfter(0, errors.New("a lease")), 0, past{seen: 1, failed: stuckAfter - 1}},
			"a success after seven":  {stuckAfter - 1, nil, 0, past{}},
			"a panic is told of now": {0, errPanic, 1, past{seen: 1, failed: 1}},
		} {
			t.Run(name, func(t *testing.T) {
				before := parked(t, n.JetStream())
				msg, sequence := delivered(t, n.JetStream())
				d := &delivery{
					js: n.JetStream(), stream: eventstore.StreamRequests, durable: string(procedure.StepIntake),
					cfg: Config{AckWait: eventstore.DefaultAckWait}.complete(), metrics: newMetrics(nil),
					met:    newMet(),
					handle: func(context.Context, Message) error { return test.err },
				}
				for range test.failed {
					d.met.fail(sequence)
				}
				d.deliver(t.Context(), msg)
				if got, _ := d.met.past.Get(sequence); got != test.then {
					t.Errorf("it remembers %+v, want %+v", got, test.then)
				}
				if got := parked(t, n.JetStream()) - before; got != test.notes {
					t.Errorf("%d notes, want %d", got, test.notes)
				}
			})
		}
	})
}

// delivered publishes a request, and returns its first delivery and its place. What another
// case has left is delivered no more.
func delivered(t *testing.T, js jetstream.JetStream) (jetstream.Msg, uint64) {
	t.Helper()
	ack, err := js.Publish(t.Context(), "request.production.shop", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), eventstore.StreamRequests, string(procedure.StepIntake))
	if err != nil {
		t.Fatal(err)
	}
	for {
		msg, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if meta.Sequence.Stream == ack.Sequence {
			return msg, ack.Sequence
		}
		if err := msg.Term(); err != nil {
			t.Fatal(err)
		}
	}
}

func parked(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), eventstore.StreamParked)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}
