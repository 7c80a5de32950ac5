package record_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// recorded is a record of one release in the stream of n.
func recorded(t *testing.T, n natstest.Server) (dsn string, s *proceduretest.Stream) {
	t.Helper()
	eventstoretest.Provision(t, n)
	dsn = recordertest.Database(t)
	s = recordertest.LiveStream()
	recordertest.Publish(t, n, history(t, s, "a", procedure.PhaseRecord).Entries...)
	r := start(t, n, dsn, nil)
	reaches(t, dsn, s.Last)
	r.stop()
	return dsn, s
}

// stops starts a recorder and waits until it stops for the reason.
func stops(t *testing.T, n natstest.Server, dsn, reason string, want error) {
	t.Helper()
	r := start(t, n, dsn, nil)
	natstest.Eventually(t, "a recorder that is not ready", func() bool { return r.Ready(t.Context()) != nil })
	if _, err := r.Look(t.Context()); !errors.Is(err, record.ErrStopped) {
		t.Errorf("where the stream ends: %v", err)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, record.ErrStopped) || !errors.Is(err, want) {
		t.Errorf("not ready because of %v, want %v", err, want)
	}
	expected := "# HELP shipwarden_recorder_stopped 1 where recording is stopped for that reason until a person has looked.\n" +
		"# TYPE shipwarden_recorder_stopped gauge\n"
	for _, other := range []string{record.ReasonEpoch, record.ReasonGap, record.ReasonRegressed} {
		value := "0"
		if other == reason {
			value = "1"
		}
		expected += `shipwarden_recorder_stopped{reason="` + other + `"} ` + value + "\n"
	}
	if err := testutil.GatherAndCompare(r.registry, strings.NewReader(expected), "shipwarden_recorder_stopped"); err != nil {
		t.Error(err)
	}
}

// restored makes the stream anew with the same epoch, as a restored copy of the
// store would be, and returns it empty.
func restored(t *testing.T, n natstest.Server, change func(*jetstream.StreamConfig)) {
	t.Helper()
	stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if err := n.JetStream().DeleteStream(t.Context(), eventstore.StreamEvents); err != nil {
		t.Fatal(err)
	}
	change(&cfg)
	// A member that still takes the old one away refuses the new one.
	natstest.Eventually(t, "the stream that is made anew", func() bool {
		_, err = n.JetStream().CreateStream(t.Context(), cfg)
		return err == nil
	})
	n.Synced(t, eventstore.StreamEvents)
}

func same(*jetstream.StreamConfig) {}

func TestAStreamThatLostItsEndStopsTheRecorder(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		dsn, s := recorded(t, n)
		restored(t, n, same)
		shorter := recordertest.LiveStream()
		h := history(t, shorter, "a", procedure.PhaseApprove)
		if shorter.Last >= s.Last {
			t.Fatal("the copy is not older")
		}
		recordertest.Publish(t, n, h.Entries...)
		stops(t, n, dsn, record.ReasonRegressed, record.ErrRegressed)
	})
}

func TestSequencesThatWereGivenTwiceStopTheRecorder(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		dsn, s := recorded(t, n)
		restored(t, n, same)
		// The same length and more, and other content: the sequences look as if all
		// were well.
		other := recordertest.LiveStream()
		for other.Last < s.Last+3 {
			recordertest.Publish(t, n, history(t, other, fmt.Sprint("m", other.Last), procedure.PhaseApprove).Entries...)
		}
		stops(t, n, dsn, record.ReasonRegressed, record.ErrRegressed)
	})
}

func TestAnotherEpochStopsTheRecorder(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		dsn, _ := recorded(t, n)
		restored(t, n, func(c *jetstream.StreamConfig) { c.Metadata["epoch"] = "another" })
		stops(t, n, dsn, record.ReasonEpoch, record.ErrEpoch)
	})
}

func TestAMissingMessageStopsTheRecorder(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		dsn, s := recorded(t, n)
		restored(t, n, func(c *jetstream.StreamConfig) { c.DenyDelete, c.FirstSeq = false, s.Last+3 })
		s.Last += 2
		recordertest.Publish(t, n, history(t, s, "b", procedure.PhaseScope).Entries...)
		stops(t, n, dsn, record.ReasonGap, record.ErrGap)
	})
}

// TestAMessageMissingInTheMiddleStopsTheRecorderInFrontOfIt runs on one server: of several,
// one that has not heard yet that the message was taken away may still deliver it.
func TestAMessageMissingInTheMiddleStopsTheRecorderInFrontOfIt(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	restored(t, n, func(c *jetstream.StreamConfig) { c.DenyDelete = false })
	dsn := recordertest.Database(t)
	s := recordertest.LiveStream()
	recordertest.Publish(t, n, history(t, s, "a", procedure.PhaseApprove).Entries...)
	stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	stops(t, n, dsn, record.ReasonGap, record.ErrGap)
	status, err := recordertest.Reader(t, dsn).Status(t.Context())
	if err != nil || status.GetAsOfSequence() != 2 {
		t.Errorf("recorded to %d, want all in front of the gap at 3 (%v)", status.GetAsOfSequence(), err)
	}
}

func TestARunningRecorderNoticesAnotherStream(t *testing.T) {
	n := natstest.Single(t)
	dsn, s := recorded(t, n)
	r := start(t, n, dsn, nil)
	recordertest.Publish(t, n, history(t, s, "b", procedure.PhaseScope).Entries...)
	reaches(t, dsn, s.Last)
	restored(t, n, same)
	n.Restart(t, 0)
	natstest.Eventually(t, "a recorder that is not ready", func() bool { return r.Ready(t.Context()) != nil })
	if err := r.Ready(t.Context()); !errors.Is(err, record.ErrRegressed) {
		t.Error(err)
	}
}
