package reactor_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leftovers()...) }

const procedureDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// rig is a server with all streams and the approval service's store.
type rig struct {
	natstest.Server
	store *eventstore.Store
}

func newRig(t *testing.T, n natstest.Server) rig {
	t.Helper()
	eventstoretest.Provision(t, n)
	return rig{Server: n, store: eventstoretest.Store(n, procedure.ServiceApproval)}
}

// request appends the first event of a release and returns the release.
func (r rig) request(t *testing.T, key string) string {
	t.Helper()
	release := procedure.ReleaseID("production", "shop", key)
	if _, err := r.store.Append(t.Context(), requested(release, key)); err != nil {
		t.Fatal(err)
	}
	return release
}

func requested(release, key string) eventstore.Draft {
	hour := durationpb.New(time.Hour)
	return eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: &releasev1.Event{
		ProcedureDigest: procedureDigest,
		Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{
			Request: &releasev1.Request{
				IdempotencyKey: key, Environment: "production", Service: "shop", Owner: "olga",
				Artifacts: []*releasev1.Artifact{{Name: "shop"}},
				Plan:      &releasev1.Plan{Waves: []*releasev1.Wave{{Targets: []string{"shop-1"}}}},
			},
			StartBy:  timestamppb.New(time.Now().Add(time.Hour)),
			Timeouts: &releasev1.Timeouts{Step: hour, Execute: hour, Verify: hour, Decision: hour},
		}},
	}}
}

func gatesConfirmed() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_GatesConfirmed{GatesConfirmed: &releasev1.GatesConfirmed{}}}
}

// start runs the function until the test ends or stop is called, which waits and
// returns its error.
func start(t *testing.T, run func(ctx context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var err error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			err = <-done
		}
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func (r rig) run(t *testing.T, cfg reactor.Config, act func(context.Context, reactor.Task) ([]eventstore.Draft, error)) func() error {
	t.Helper()
	return start(t, func(ctx context.Context) error {
		return reactor.Run(ctx, r.JetStream(), r.store, cfg, reactor.Step{ID: procedure.StepGates, Act: act})
	})
}

// work makes a durable on REQUESTS and consumes it.
func (r rig) work(t *testing.T, cfg reactor.Config, handle func(context.Context, reactor.Message) error) func() error {
	t.Helper()
	return start(t, func(ctx context.Context) error {
		return reactor.Consume(ctx, r.JetStream(), eventstore.StreamRequests, string(procedure.StepIntake), cfg, handle)
	})
}

// deliveries takes the message so many times from the durable, as other processes do.
func (r rig) deliveries(t *testing.T, times int, answer func(jetstream.Msg) error) {
	t.Helper()
	consumer := consumerOf(t, r, eventstore.StreamRequests, procedure.StepIntake)
	for taken := 0; taken < times; {
		batch, err := consumer.Fetch(1)
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			taken++
			if err := answer(m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (r rig) publish(t *testing.T, subject, body string) {
	t.Helper()
	if _, err := r.JetStream().Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// settled returns whether everything that was stored when it was called, and is the
// durable's, was delivered and answered. What the durable says of itself is not
// enough: in a cluster it may not know yet of a message that was just stored.
func (r rig) settled(t *testing.T, stream string, step procedure.StepID) func() bool {
	t.Helper()
	cfg := consumerOf(t, r, stream, step).CachedInfo().Config
	last, err := r.last(t, stream, append(cfg.FilterSubjects, cfg.FilterSubject))
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		c, err := r.JetStream().Consumer(t.Context(), stream, string(step))
		if err != nil {
			return false
		}
		info := c.CachedInfo()
		return info.AckFloor.Stream >= last && info.NumPending == 0 && info.NumAckPending == 0
	}
}

// last is the sequence of the newest message under the subjects, 0 where there is
// none; a subject that is empty is left out.
func (r rig) last(t *testing.T, stream string, subjects []string) (uint64, error) {
	s, err := r.JetStream().Stream(t.Context(), stream)
	if err != nil {
		return 0, err
	}
	var last uint64
	for _, subject := range subjects {
		if subject == "" {
			continue
		}
		m, err := s.GetLastMsgForSubject(t.Context(), subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return 0, err
		default:
			last = max(last, m.Sequence)
		}
	}
	return last, nil
}

// notes are all notes that were parked, in order.
func (r rig) notes(t *testing.T) []reactor.Note {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamParked)
	if err != nil {
		t.Fatal(err)
	}
	var out []reactor.Note
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var note reactor.Note
		if err := json.Unmarshal(m.Data, &note); err != nil {
			t.Fatal(err)
		}
		out = append(out, note)
	}
	return out
}

func (r rig) state(t *testing.T, release string) procedure.State {
	t.Helper()
	h, err := r.store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := procedure.Fold(release, h.Entries)
	return s
}

func consumerOf(t *testing.T, r rig, stream string, step procedure.StepID) jetstream.Consumer {
	t.Helper()
	c, err := r.JetStream().Consumer(t.Context(), stream, string(step))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
