package natstest_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/blackdice/shipwarden/internal/natstest"
)

func createStream(t *testing.T, n natstest.Server) jetstream.Stream {
	t.Helper()
	stream, err := n.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KEPT", Subjects: []string{"kept.>"}, Replicas: n.Replicas(),
	})
	if err != nil {
		t.Fatalf("create stream: %v", err)
	}
	return stream
}

// publish retries until acknowledged: during a change of leader a publish may
// go unanswered. The message id keeps the retries from being stored twice.
func publish(t *testing.T, n natstest.Server, id string) {
	t.Helper()
	natstest.Eventually(t, "an acknowledged publish of "+id, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := n.JetStream().Publish(ctx, "kept.x", []byte(id), jetstream.WithMsgID(id))
		return err == nil
	})
}

func messages(t *testing.T, n natstest.Server) uint64 {
	t.Helper()
	var count uint64
	natstest.Eventually(t, "the state of the stream", func() bool {
		stream, err := n.JetStream().Stream(t.Context(), "KEPT")
		if err != nil {
			return false
		}
		count = stream.CachedInfo().State.Msgs
		return true
	})
	return count
}

func TestAStreamSurvivesTheRestartOfItsLeader(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		createStream(t, n)
		publish(t, n, "before")
		n.Restart(t, n.Leader(t, "KEPT"))
		publish(t, n, "after")
		if got := messages(t, n); got != 2 {
			t.Errorf("stream holds %d messages after the restart, want 2", got)
		}
	})
}

func TestAClusterGoesOnWithoutOneServer(t *testing.T) {
	n := natstest.Cluster(t)
	createStream(t, n)
	gone := n.Leader(t, "KEPT")
	n.Stop(t, gone)
	publish(t, n, "with two")
	if leader := n.Leader(t, "KEPT"); leader == gone {
		t.Errorf("server %d leads although it is stopped", leader)
	}
	n.Start(t, gone)
	if got := messages(t, n); got != 1 {
		t.Errorf("stream holds %d messages, want 1", got)
	}
}

func TestEachGivesOneServerAndThree(t *testing.T) {
	var sizes []int
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		sizes = append(sizes, n.Size())
		if urls := strings.Split(n.URL(), ","); len(urls) != n.Size() || len(n.URLs()) != n.Size() {
			t.Errorf("URL %q and URLs %v do not list %d servers", n.URL(), n.URLs(), n.Size())
		}
		info, err := createStream(t, n).Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Config.Replicas != n.Replicas() {
			t.Errorf("stream has %d replicas, want %d", info.Config.Replicas, n.Replicas())
		}
	})
	if len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 3 {
		t.Errorf("sizes %v, want [1 3]", sizes)
	}
}

func TestNothingRunsOnAfterCleanup(t *testing.T) {
	ignore := append(natstest.Leftovers(), goleak.IgnoreCurrent())
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		second := n.Connect(t, nats.Name("second"))
		if err := second.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	goleak.VerifyNone(t, ignore...)
}

// The server loses this race about once in a hundred times while the machine is busy,
// which is what the groups side by side are for.
func TestNothingIsTakenFromUnderTheFirstStream(t *testing.T) {
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			for range 30 {
				createStream(t, natstest.Single(t))
			}
		})
	}
}
