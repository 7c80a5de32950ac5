package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// Names, subjects and settings are contract: other programs know them, and another
// durable name makes a step read everything again. Commit a change of the golden
// file only if all of that is meant.
func TestTopologyIsThatOfTheGoldenFile(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(eventstore.NewTopology(3, 4<<30), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const golden = "testdata/topology.json"
	if *rewrite {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("topology differs from %s (-rewrite writes it anew):\n%s", golden, diff)
	}
}

func TestProvisioningTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		before := configs(t, n)
		eventstoretest.Provision(t, n)
		if diff := cmp.Diff(before, configs(t, n)); diff != "" {
			t.Error(diff)
		}
	})
}

func configs(t *testing.T, n natstest.Server) map[string]jetstream.StreamConfig {
	t.Helper()
	out := map[string]jetstream.StreamConfig{}
	list := n.JetStream().ListStreams(t.Context())
	for info := range list.Info() {
		out[info.Config.Name] = info.Config
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTwoAdminStepsAtOnceMakeOneStream(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = eventstore.Provision(t.Context(), n.JetStream(), eventstoretest.Topology(n)) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if _, err := eventstoretest.Store(n, procedure.ServiceApproval).Epoch(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAStreamThatCouldLoseHistoryIsRefused(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*jetstream.StreamConfig){
		"deny_delete":    func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"deny_purge":     func(c *jetstream.StreamConfig) { c.DenyPurge = false },
		"discard":        func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"max_age":        func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"max_msgs":       func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 },
		"storage":        func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"retention":      func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"allow_direct":   func(c *jetstream.StreamConfig) { c.AllowDirect = true },
		"allow_msg_ttl":  func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"allow_atomic":   func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		"subjects":       func(c *jetstream.StreamConfig) { c.Subjects = []string{"rel.>"} },
		"no_ack":         func(c *jetstream.StreamConfig) { c.NoAck = true },
		"metadata.epoch": func(c *jetstream.StreamConfig) { c.Metadata = nil },
	}
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		for name, change := range changes {
			cfg := eventstoretest.Topology(n).Streams[0]
			cfg.Metadata = map[string]string{"schema": eventstore.Schema, "epoch": "life"}
			change(&cfg)
			// A server that is still taking the one before away cannot make it.
			natstest.Eventually(t, "a stream with another "+name, func() bool {
				_, err := n.JetStream().CreateStream(t.Context(), cfg)
				return err == nil
			})
			err := eventstore.Provision(t.Context(), n.JetStream(), eventstoretest.Topology(n))
			setting, _, _ := strings.Cut(name, ".")
			if !errors.Is(err, eventstore.ErrTopology) || !strings.Contains(err.Error(), setting) || !strings.Contains(err.Error(), "REL") {
				t.Errorf("%s: provision got %v, want one that names REL and %s", name, err, setting)
			}
			if err := n.JetStream().DeleteStream(t.Context(), cfg.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestARecordFromBeforeTakesInWhatCameLater: its subjects are those of an older version,
// and what it holds stays what it is.
func TestARecordFromBeforeTakesInWhatCameLater(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		cfg := eventstoretest.Topology(n).Streams[0]
		cfg.Metadata = map[string]string{"schema": eventstore.Schema, "epoch": "life"}
		cfg.Subjects = []string{"rel.>", "tgt.>", "svc.>", "pol.>", "req.>"}
		if _, err := n.JetStream().CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if err := eventstore.Provision(t.Context(), n.JetStream(), eventstoretest.Topology(n)); err != nil {
			t.Fatal(err)
		}
		got := configs(t, n)[eventstore.StreamEvents]
		if !slices.Contains(got.Subjects, "art.>") || got.Metadata["epoch"] != "life" {
			t.Errorf("it takes %v in its life %q", got.Subjects, got.Metadata["epoch"])
		}
	})
}

func TestADurableThatWouldGiveMessagesUpIsRefused(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		broken := eventstore.NewDurable("approval-new", "rel.*.approval.requested")
		broken.Config.MaxDeliver = 3
		if _, err := n.JetStream().CreateConsumer(t.Context(), broken.Stream, broken.Config); err != nil {
			t.Fatal(err)
		}
		topology := eventstoretest.Topology(n)
		topology.Durables = append(topology.Durables, eventstore.NewDurable("approval-new", "rel.*.approval.requested"))
		err := eventstore.Provision(t.Context(), n.JetStream(), topology)
		if !errors.Is(err, eventstore.ErrTopology) || !strings.Contains(err.Error(), "max_deliver") {
			t.Errorf("provision got %v, want one that names max_deliver", err)
		}
	})
}

func TestQuotaAndWaitsFollowTheTopology(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		before, err := eventstoretest.Store(n, procedure.ServiceApproval).Epoch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		grown := eventstore.NewTopology(1, 2*eventstoretest.Quota).Anywhere().WithAckWait(time.Minute)
		if err := eventstore.Provision(t.Context(), n.JetStream(), grown); err != nil {
			t.Fatal(err)
		}
		if got := configs(t, n)[eventstore.StreamEvents].MaxBytes; got != 2*eventstoretest.Quota {
			t.Errorf("quota is %d after it was doubled", got)
		}
		// Of a cluster nobody answers while the durable has no leader.
		natstest.Eventually(t, "the durable waits for a minute", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := n.JetStream().Consumer(ctx, eventstore.StreamEvents, string(procedure.StepGates))
			return err == nil && c.CachedInfo().Config.AckWait == time.Minute
		})
		after, err := eventstoretest.Store(n, procedure.ServiceApproval).Epoch(t.Context())
		if err != nil || after != before {
			t.Errorf("epoch %q, %v, want %q", after, err, before)
		}
	})
}

func TestStreamsOfAClusterLieOnServersThatSyncEveryWrite(t *testing.T) {
	t.Parallel()
	n := natstest.Cluster(t, natstest.WithSyncAlways())
	if err := eventstore.Provision(t.Context(), n.JetStream(), eventstore.NewTopology(3, eventstoretest.Quota)); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstoretest.Store(n, procedure.ServiceApproval).Append(t.Context(), following(eventstore.History{Aggregate: "rel.r"}, "x")); err != nil {
		t.Fatal(err)
	}
}
