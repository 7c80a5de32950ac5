package record_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(pgtest.Run(m))
}

// running is a recorder at work.
type running struct {
	*record.Recorder

	registry *prometheus.Registry
	stop     func()
}

// start runs a recorder until the test ends or it is stopped.
func start(t *testing.T, n natstest.Server, dsn string, recorded func(context.Context, ledger.Written), before ...func(*record.Recorder)) *running {
	t.Helper()
	js, err := jetstream.New(n.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), dsn, migrations.Schema)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{registry: prometheus.NewRegistry()}
	r.Recorder = record.New(js, envelopetest.Ring(), l, r.registry, recorded)
	for _, do := range before {
		do(r.Recorder)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		l.Close()
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

// reaches waits until the record has come to the sequence.
func reaches(t *testing.T, dsn string, sequence uint64) {
	t.Helper()
	conn := recordertest.Connect(t, dsn, migrations.Reader)
	natstest.Eventually(t, fmt.Sprintf("message %d on record", sequence), func() bool {
		var at uint64
		if err := conn.QueryRow(t.Context(), "select last_seq from checkpoint").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at >= sequence
	})
}

func history(t *testing.T, s *proceduretest.Stream, key string, to procedure.Phase) *proceduretest.History {
	t.Helper()
	h := s.New(proceduretest.Request(proceduretest.Key(key)))
	h.To(t, to)
	return h
}

func TestWhatIsPublishedIsRecordedAndClosed(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		dsn := recordertest.Database(t)
		reader := recordertest.Reader(t, dsn)
		registry := prometheus.NewRegistry()
		step := record.NewStep(reader, eventstoretest.Store(n, procedure.ServiceRecorder), time.Now, registry)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = step.Run(ctx) }()
		defer func() { cancel(); <-done }()
		start(t, n, dsn, step.Offer)

		h := history(t, recordertest.LiveStream(), "a", procedure.PhaseRecord)
		recordertest.Publish(t, n, h.Entries...)
		reaches(t, dsn, h.Last+1)
		release, events, _, err := reader.Release(t.Context(), h.Release, true, false)
		if err != nil {
			t.Fatal(err)
		}
		if release.GetPhase() != "follow_up" || release.GetRejectedEvents() != 0 {
			t.Fatalf("phase %s with %d rejected events", release.GetPhase(), release.GetRejectedEvents())
		}
		last := events[len(events)-1]
		recorded := last.Entry.Event.GetRecorded()
		digest, err := record.Digest(h.Release, events, recorded.GetAsOfSequence())
		if err != nil || recorded.GetRecordDigest() != digest || recorded.GetAsOfSequence() != h.Last {
			t.Errorf("recorded %v, the record's digest is %s (%v)", recorded, digest, err)
		}
		if err := step.Close(t.Context(), h.Release); err != nil {
			t.Errorf("closing it again: %v", err)
		}
		reaches(t, dsn, h.Last+1)
		info, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
		if err != nil || info.CachedInfo().State.LastSeq != h.Last+1 {
			t.Errorf("the stream ends at %d, want %d (%v)", info.CachedInfo().State.LastSeq, h.Last+1, err)
		}
		natstest.Eventually(t, "a release that is counted", func() bool {
			n, err := testutil.GatherAndCount(registry, "shipwarden_release_duration_seconds")
			return err == nil && n == 1
		})
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP shipwarden_releases_ended_total Releases whose record was closed.
# TYPE shipwarden_releases_ended_total counter
shipwarden_releases_ended_total{environment="production",outcome="succeeded",trigger="planned"} 1
`), "shipwarden_releases_ended_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

// TestTheRecordOfAWayBackIsClosedWithThatOfItsRelease: the digest that the signed event says is
// that of the bytes that anybody makes of the events, then and later.
func TestTheRecordOfAWayBackIsClosedWithThatOfItsRelease(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	reader := recordertest.Reader(t, dsn)
	step := record.NewStep(reader, eventstoretest.Store(n, procedure.ServiceRecorder), time.Now, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = step.Run(ctx) }()
	defer func() { cancel(); <-done }()
	start(t, n, dsn, step.Offer)
	h := history(t, recordertest.LiveStream(), "a", procedure.PhaseVerifyRollback)
	h.To(t, procedure.PhaseRecord)
	recordertest.Publish(t, n, h.Entries...)
	reaches(t, dsn, h.Last+1)
	id := procedure.RollbackID(h.Release, 1)
	_, events, _, err := reader.Release(t.Context(), h.Release, true, true)
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	closed := last.Entry.Event.GetRecorded().GetRollbacks()
	made, ok := document.BuildRollback(h.Release, events, 1)
	if len(closed) != 1 || closed[0].GetRollback() != id || !ok {
		t.Fatalf("%v", closed)
	}
	text, err := made.JSON()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if got := "sha256:" + hex.EncodeToString(sum[:]); closed[0].GetRecordDigest() != got || closed[0].GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK {
		t.Errorf("closed %v, the record's digest is %s", closed[0], got)
	}
	if len(last.Signature) == 0 {
		t.Error("what says so is not signed")
	}
	back, _, _, err := reader.Release(t.Context(), id, false, false)
	if err != nil || !back.GetClosed() || back.GetRollbacks()[0].GetRecordDigest() != closed[0].GetRecordDigest() {
		t.Errorf("%v, %v", back, err)
	}
}

func TestARecordThatWasNotClosedBeforeARestartIsClosed(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	h := history(t, recordertest.LiveStream(), "a", procedure.PhaseRecord)
	recordertest.Publish(t, n, h.Entries...)
	first := start(t, n, dsn, nil)
	reaches(t, dsn, h.Last)
	first.stop()

	step := record.NewStep(recordertest.Reader(t, dsn), eventstoretest.Store(n, procedure.ServiceRecorder), time.Now, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = step.Run(ctx) }()
	defer func() { cancel(); <-done }()
	start(t, n, dsn, step.Offer)
	reaches(t, dsn, h.Last+1)
}

func TestForeignMessagesAreRecordedAsRejected(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	s := recordertest.LiveStream()
	h := history(t, s, "a", procedure.PhaseScope)
	recordertest.Publish(t, n, h.Entries...)
	foreign := []*nats.Msg{
		{Subject: "rel." + h.Release + ".approval.scope_validated", Data: []byte(`{"stream":"REL","seq":1}`)},
		{Subject: "rel.x.y.z", Header: nats.Header{"Shipwarden-Signature": {"approval-test AAAA"}}},
		{Subject: "rel.a.b", Data: []byte("\x00\xff"), Header: nats.Header{"X": {"\xff"}}},
	}
	for _, m := range foreign {
		if _, err := n.JetStream().PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.Last += uint64(len(foreign))
	copied := h.Entries[1]
	copied.Sequence = s.Last + 1
	copied.Event.Id = "00000000-0000-7000-8000-ffffffffffff"
	recordertest.Publish(t, n, copied)
	s.Last++
	next := history(t, s, "b", procedure.PhaseApprove)
	recordertest.Publish(t, n, next.Entries...)
	r := start(t, n, dsn, nil)
	reaches(t, dsn, s.Last)
	status, err := recordertest.Reader(t, dsn).Status(t.Context())
	if err != nil || status.GetRejectedEvents() != 4 || status.GetReleases() != 2 || status.GetEvents() != s.Last {
		t.Errorf("status %v (%v)", status, err)
	}
	natstest.Eventually(t, "a recorder without a lag", func() bool {
		return testutil.ToFloat64(collector(t, r.registry, "shipwarden_recorder_lag_events")) == 0
	})
}

func TestTwoRecordersOverLostConnections(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := recordertest.Database(t)
	start(t, n, dsn, nil)
	start(t, n, dsn, nil)
	s := recordertest.LiveStream()
	for i := range 12 {
		h := history(t, s, fmt.Sprint("k", i), procedure.PhaseRecord)
		recordertest.Publish(t, n, h.Entries...)
		if i%4 == 3 {
			n.Restart(t, 0)
		}
	}
	reaches(t, dsn, s.Last)
	status, err := recordertest.Reader(t, dsn).Status(t.Context())
	if err != nil || status.GetRejectedEvents() != 0 || status.GetReleases() != 12 || status.GetEvents() != s.Last {
		t.Errorf("status %v (%v), want %d events", status, err, s.Last)
	}
}

// collector returns the metric of that name as a collector of one value.
func collector(t *testing.T, r *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			value := f.GetMetric()[0].GetGauge().GetValue()
			return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name}, func() float64 { return value })
		}
	}
	t.Fatalf("there is no metric %s", name)
	return nil
}
