package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

// TestAFullStoreSaysSoAtOnce: nothing of a document that does not fit is stored, what is
// there is there, and with room again it goes on.
func TestAFullStoreSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	s := evidence.New(n.JetStream())
	registry := prometheus.NewRegistry()
	s.Metrics(registry)
	old := bytes.Repeat([]byte("kept"), 50_000)
	if _, err := s.Put(t.Context(), "text/plain", "old", old); err != nil {
		t.Fatal(err)
	}
	eventstoretest.Full(t, n)
	before, err := s.Fill(t.Context())
	if err != nil || before.Used < uint64(len(old)) || before.Limit != before.Used {
		t.Fatalf("%+v, %v", before, err)
	}
	fresh := bytes.Repeat([]byte("lost"), 50_000)
	ref, unkept, err := evidence.Keep(t.Context(), s, "text/plain", "new", fresh)
	if !errors.Is(err, evidence.ErrFull) || ref.GetDigest() != evidence.Digest(fresh) || ref.GetSize() != int64(len(fresh)) ||
		unkept.GetDigest() != ref.GetDigest() || unkept.GetName() != "new" || unkept.GetReason() != "the evidence store is full" {
		t.Errorf("%v, %v, %v", ref, unkept, err)
	}
	if after, err := s.Fill(t.Context()); err != nil || after != before {
		t.Errorf("it left %+v behind, there was %+v: %v", after, before, err)
	}
	// What is there already needs no room.
	if _, unkept, err := evidence.Keep(t.Context(), evidence.New(n.JetStream()), "text/plain", "again", old); err != nil || unkept != nil {
		t.Errorf("the same again: %v, %v", unkept, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, unkept, err := evidence.Keep(ctx, s, "text/plain", "called off", []byte("x")); !errors.Is(err, context.Canceled) || unkept != nil {
		t.Errorf("called off: %v, %v", unkept, err)
	}
	if got := gathered(t, registry)["shipwarden_evidence_unkept_total"]; got != 1 {
		t.Errorf("%v documents are counted that were not kept", got)
	}
	eventstoretest.Room(t, n)
	if _, err := s.Put(t.Context(), "text/plain", "new", fresh); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestEveryReasonIsCountedFromNothingOn: of a counter that begins with the first loss nobody
// sees an increase.
func TestEveryReasonIsCountedFromNothingOn(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	evidence.New(nil).Metrics(registry)
	want := `
# HELP shipwarden_evidence_unkept_total Documents that could not be kept as evidence, by reason.
# TYPE shipwarden_evidence_unkept_total counter
shipwarden_evidence_unkept_total{reason="failed"} 0
shipwarden_evidence_unkept_total{reason="full"} 0
shipwarden_evidence_unkept_total{reason="too_large"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "shipwarden_evidence_unkept_total"); err != nil {
		t.Error(err)
	}
}

// TestHowFullTheStoreIsIsMeasured by a service that has no more rights than services have.
func TestHowFullTheStoreIsIsMeasured(t *testing.T) {
	t.Parallel()
	as := guarded(t)
	s := evidence.New(as(procedure.ServiceExecutor))
	registry := prometheus.NewRegistry()
	s.Metrics(registry)
	if _, err := s.Put(t.Context(), "text/plain", "output", make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	natstest.Eventually(t, "the measure", func() bool {
		got := gathered(t, registry)
		return got["shipwarden_evidence_bytes"] > 100_000 && got["shipwarden_evidence_limit_bytes"] == eventstoretest.Quota
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Half of a document that does not fit would stay: nobody has the right to purge.
	at, err := as("admin").Stream(t.Context(), "OBJ_"+eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	cfg := at.CachedInfo().Config
	cfg.MaxBytes = int64(at.CachedInfo().State.Bytes) + 150_000 //nolint:gosec // A test holds less.
	if _, err := as("admin").UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	before, err := s.Fill(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	putting, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.Put(putting, "text/plain", "large", bytes.Repeat([]byte("0123456789"), 30_000)); !errors.Is(err, evidence.ErrFull) {
		t.Errorf("a document that does not fit: %v", err)
	}
	if after, err := s.Fill(t.Context()); err != nil || after != before {
		t.Errorf("it left %+v behind, there was %+v: %v", after, before, err)
	}
}

// gathered is the first value of every metric.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

// TestTheBusesWordForNoRoomIsKnown: two may find that there is room for one of them.
func TestTheBusesWordForNoRoomIsKnown(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	bucket, err := n.JetStream().ObjectStore(t.Context(), eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutBytes(t.Context(), "first", []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventstoretest.Full(t, n)
	_, err = bucket.Put(t.Context(), jetstream.ObjectMeta{Name: "second"}, bytes.NewReader(make([]byte, 1000)))
	if !evidence.RefusedForRoom(err) {
		t.Errorf("%v", err)
	}
}
