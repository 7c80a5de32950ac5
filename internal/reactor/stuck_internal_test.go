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
			n := natstest.Single(t)
			eventstoretest.Provision(t, n)
			ack, err := n.JetStream().Publish(t.Context(), "request.production.shop", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			consumer, err := n.JetStream().Consumer(t.Context(), eventstore.StreamRequests, string(procedure.StepIntake))
			if err != nil {
				t.Fatal(err)
			}
			msg, err := consumer.Next()
			if err != nil {
				t.Fatal(err)
			}
			d := &delivery{
				js: n.JetStream(), stream: eventstore.StreamRequests, durable: string(procedure.StepIntake),
				cfg: Config{AckWait: eventstore.DefaultAckWait}.complete(), metrics: newMetrics(nil),
				met:    newMet(),
				handle: func(context.Context, Message) error { return test.err },
			}
			for range test.failed {
				d.met.fail(ack.Sequence)
			}
			d.deliver(t.Context(), msg)
			if got, _ := d.met.past.Get(ack.Sequence); got != test.then {
				t.Errorf("it remembers %+v, want %+v", got, test.then)
			}
			if got := parked(t, n.JetStream()); got != test.notes {
				t.Errorf("%d notes, want %d", got, test.notes)
			}
		})
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
