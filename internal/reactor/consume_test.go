package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var timeNow = time.Now

func ringOf(t *testing.T, cfg *configv1.Keyring) *envelope.Keyring {
	t.Helper()
	ring, err := envelope.NewKeyring(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestAFailureIsTriedAgainAndADelayIsNone(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		registry := prometheus.NewRegistry()
		var calls atomic.Int32
		r.work(t, reactor.Config{Metrics: registry}, func(context.Context, reactor.Message) error {
			switch calls.Add(1) {
			case 1:
				return reactor.RetryAfter(10*time.Millisecond, errors.New("the lease is another's"))
			case 2:
				return errors.New("the dependency is down")
			default:
				return nil
			}
		})
		r.publish(t, "request.production.shop", "{}")
		natstest.Eventually(t, "three deliveries", func() bool { return calls.Load() >= 3 })
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
		if got := calls.Load(); got != 3 {
			t.Errorf("%d deliveries, want 3", got)
		}
		for result, want := range map[string]float64{"put_off": 1, "failed": 1, "acknowledged": 1} {
			natstest.Eventually(t, fmt.Sprintf("%g deliveries that ended as %s", want, result), func() bool {
				return delivered(t, registry, result) == want
			})
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

func delivered(t *testing.T, g prometheus.Gatherer, result string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "shipwarden_step_deliveries_total" && l.GetName() == "result" && l.GetValue() == result {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func TestWhatCanNotBeWorkedOnIsParkedOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		r.work(t, reactor.Config{}, func(_ context.Context, m reactor.Message) error {
			return fmt.Errorf("%w: %q is no request", reactor.ErrUnprocessable, m.Data)
		})
		r.publish(t, "request.production.shop", "not \x00 a request")
		natstest.Eventually(t, "an end of the delivery", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
		notes := r.notes(t)
		if len(notes) != 1 || notes[0].Kind != "dropped" || notes[0].Body != `"not \x00 a request"` {
			t.Errorf("notes %+v, want one", notes)
		}
	})
}

func TestAPanicLeavesANoteAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		var calls atomic.Int32
		r.work(t, reactor.Config{}, func(context.Context, reactor.Message) error {
			if calls.Add(1) < 3 {
				panic("nobody expects this")
			}
			return nil
		})
		r.publish(t, "request.production.shop", "{}")
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
		if notes := r.notes(t); len(notes) != 1 || notes[0].Kind != "stuck" {
			t.Errorf("notes %+v, want one, although it panicked twice", notes)
		}
	})
}

// TestPeopleAreToldOfAMessageThatEndsProcesses lets eight take it and die: nobody answers,
// and the server gives it to the next one when it has waited long enough.
func TestPeopleAreToldOfAMessageThatEndsProcesses(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		if err := eventstore.Provision(t.Context(), n.JetStream(), eventstoretest.Topology(n).WithAckWait(200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		r := rig{Server: n, store: eventstoretest.Store(n, procedure.ServiceApproval)}
		r.publish(t, "request.production.shop", "{}")
		r.deliveries(t, 8, func(jetstream.Msg) error { return nil })
		noted := make(chan int, 64)
		r.work(t, reactor.Config{}, func(context.Context, reactor.Message) error {
			noted <- len(r.notes(t))
			return nil
		})
		if got := <-noted; got != 1 {
			t.Errorf("%d notes before the ninth attempt, want 1", got)
		}
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
	})
}

// TestWhatAnotherProcessPutOffIsNoFailure: the server counts those deliveries too, and a
// process that is new to the message can not know what they were.
func TestWhatAnotherProcessPutOffIsNoFailure(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		r.publish(t, "request.production.shop", "{}")
		r.deliveries(t, 20, func(m jetstream.Msg) error { return m.Nak() })
		registry := prometheus.NewRegistry()
		var calls atomic.Int32
		r.work(t, reactor.Config{Metrics: registry}, func(context.Context, reactor.Message) error {
			if calls.Add(1) == 1 {
				return errors.New("the dependency is down")
			}
			return nil
		})
		natstest.Eventually(t, "an answer to the first delivery", func() bool {
			return delivered(t, registry, "failed")+delivered(t, registry, "stuck") > 0
		})
		if got := delivered(t, registry, "stuck"); got != 0 {
			t.Errorf("people are called for the first failure")
		}
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
		if notes := r.notes(t); len(notes) != 0 {
			t.Errorf("notes %+v, want none", notes)
		}
	})
}

func TestAWorkerAtWorkIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	const ackWait = 3 * time.Second
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		topology := eventstoretest.Topology(n).WithAckWait(ackWait)
		if err := eventstore.Provision(t.Context(), n.JetStream(), topology); err != nil {
			t.Fatal(err)
		}
		r := rig{Server: n, store: eventstoretest.Store(n, procedure.ServiceApproval)}
		var calls atomic.Int32
		begun, finish := make(chan time.Time, 8), make(chan struct{})
		r.work(t, reactor.Config{}, func(context.Context, reactor.Message) error {
			calls.Add(1)
			begun <- time.Now()
			<-finish
			return nil
		})
		r.publish(t, "request.production.shop", "{}")
		began := <-begun
		natstest.Eventually(t, "a long piece of work", func() bool { return time.Since(began) > 2*ackWait })
		close(finish)
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
		if got := calls.Load(); got != 1 {
			t.Errorf("delivered %d times, want once", got)
		}
	})
}

func TestWorkBegunIsFinishedWhenTheProcessEnds(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		begun, finish := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- reactor.Consume(ctx, r.JetStream(), eventstore.StreamRequests, string(procedure.StepIntake), reactor.Config{},
				func(ctx context.Context, _ reactor.Message) error {
					close(begun)
					<-finish
					return ctx.Err()
				})
		}()
		r.publish(t, "request.production.shop", "{}")
		<-begun
		cancel()
		close(finish)
		if err := <-ended; err != nil {
			t.Errorf("consume ended with %v, want nil", err)
		}
		if !r.settled(t, eventstore.StreamRequests, procedure.StepIntake)() {
			t.Error("the message was not acknowledged")
		}
	})
}

func TestWorkThatTakesTooLongToEndIsGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		begun := make(chan struct{})
		stop := r.work(t, reactor.Config{Drain: 50 * time.Millisecond}, func(ctx context.Context, _ reactor.Message) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})
		r.publish(t, "request.production.shop", "{}")
		<-begun
		given := time.Now()
		if err := stop(); err != nil {
			t.Errorf("consume ended with %v, want nil", err)
		}
		taken := make(chan int, 1)
		r.work(t, reactor.Config{}, func(_ context.Context, m reactor.Message) error {
			taken <- m.Delivery
			return nil
		})
		if got := <-taken; got != 2 || time.Since(given) > eventstore.DefaultAckWait {
			t.Errorf("delivery %d after %s, want the second, before ack_wait", got, time.Since(given))
		}
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamRequests, procedure.StepIntake))
	})
}

func TestEveryMessageIsWorkedOnThoughTheServerRestarts(t *testing.T) {
	t.Parallel()
	const messages = 60
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		var seen [messages]atomic.Int32
		var total atomic.Int32
		r.work(t, reactor.Config{}, func(_ context.Context, m reactor.Message) error {
			var i int
			if _, err := fmt.Sscan(string(m.Data), &i); err != nil {
				return err
			}
			seen[i].Add(1)
			total.Add(1)
			return nil
		})
		for i := range messages {
			if i == messages/2 {
				n.Restart(t, n.Leader(t, eventstore.StreamRequests))
			}
			natstest.Eventually(t, "a publish", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := r.JetStream().Publish(ctx, "request.production.shop", fmt.Append(nil, i), jetstream.WithMsgID(fmt.Sprint(i)))
				return err == nil
			})
		}
		natstest.Eventually(t, "all messages", func() bool {
			for i := range seen {
				if seen[i].Load() == 0 {
					return false
				}
			}
			return true
		})
	})
}

func TestAMissingDurableIsNeverMade(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		err := reactor.Consume(t.Context(), r.JetStream(), eventstore.StreamRequests, "unknown", reactor.Config{Bind: time.Second},
			func(context.Context, reactor.Message) error { return nil })
		if !errors.Is(err, reactor.ErrNoDurable) {
			t.Errorf("consume ended with %v, want a missing durable", err)
		}
		if _, err := r.JetStream().Consumer(t.Context(), eventstore.StreamRequests, "unknown"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Errorf("lookup got %v, want not found", err)
		}
	})
}

// Whoever asks a durable for messages after it was deleted is told nothing at all, where whoever waits at that
// moment is told: the step must find out by itself.
func TestADurableThatIsDeletedWhileAllWorkEndsTheStep(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		begun, deleted := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- reactor.Consume(t.Context(), r.JetStream(), eventstore.StreamRequests, string(procedure.StepIntake), reactor.Config{Workers: 1},
				func(context.Context, reactor.Message) error { close(begun); <-deleted; return nil })
		}()
		r.publish(t, "request.production.shop", "{}")
		<-begun
		if err := r.JetStream().DeleteConsumer(t.Context(), eventstore.StreamRequests, string(procedure.StepIntake)); err != nil {
			t.Fatal(err)
		}
		close(deleted)
		select {
		case err := <-ended:
			if !errors.Is(err, reactor.ErrNoDurable) {
				t.Errorf("consume ended with %v, want a missing durable", err)
			}
		case <-time.After(4 * eventstore.MaxPullExpiry):
			t.Error("consume goes on without a durable")
		}
	})
}

// unanswered is JetStream of which one look-up of a consumer gets no answer, once it is armed.
type unanswered struct {
	jetstream.JetStream
	armed   atomic.Bool
	instead func() error
}

func (u *unanswered) Consumer(ctx context.Context, stream, durable string) (jetstream.Consumer, error) {
	if u.armed.CompareAndSwap(true, false) {
		return nil, u.instead()
	}
	return u.JetStream.Consumer(ctx, stream, durable)
}

// Where nobody answers whether the durable is there, as while a cluster has no leader, the step goes on: here
// with one that is there again.
func TestALookUpWithoutAnAnswerEndsNoStep(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Single(t))
	config := consumerOf(t, r, eventstore.StreamRequests, procedure.StepIntake).CachedInfo().Config
	js := &unanswered{JetStream: r.JetStream(), instead: func() error {
		if _, err := r.JetStream().CreateConsumer(t.Context(), eventstore.StreamRequests, config); err != nil {
			t.Error(err)
		}
		return context.DeadlineExceeded
	}}
	seen, deleted := make(chan string), make(chan struct{})
	stop := start(t, func(ctx context.Context) error {
		return reactor.Consume(ctx, js, eventstore.StreamRequests, string(procedure.StepIntake), reactor.Config{Workers: 1},
			func(_ context.Context, m reactor.Message) error { seen <- string(m.Data); <-deleted; return nil })
	})
	r.publish(t, "request.production.shop", "before")
	<-seen
	if err := r.JetStream().DeleteConsumer(t.Context(), eventstore.StreamRequests, string(procedure.StepIntake)); err != nil {
		t.Fatal(err)
	}
	js.armed.Store(true)
	close(deleted)
	r.publish(t, "request.production.shop", "afterwards")
	for got := ""; got != "afterwards"; { // What was delivered before comes once more: the durable is a new one.
		select {
		case got = <-seen:
		case <-time.After(4 * eventstore.MaxPullExpiry):
			t.Fatalf("the step does not go on; the durable was looked up: %t", !js.armed.Load())
		}
	}
	if err := stop(); err != nil || js.armed.Load() {
		t.Errorf("consume ended with %v, and looked the durable up: %t", err, !js.armed.Load())
	}
}

func TestADeletedDurableEndsTheStep(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		begun := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- reactor.Consume(t.Context(), r.JetStream(), eventstore.StreamRequests, string(procedure.StepIntake), reactor.Config{},
				func(context.Context, reactor.Message) error { close(begun); return nil })
		}()
		r.publish(t, "request.production.shop", "{}")
		<-begun
		if err := r.JetStream().DeleteConsumer(t.Context(), eventstore.StreamRequests, string(procedure.StepIntake)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, reactor.ErrNoDurable) {
			t.Errorf("consume ended with %v, want a missing durable", err)
		}
	})
}
