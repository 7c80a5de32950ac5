// Package eventstoretest gives tests a stream REL on a real server and stores
// over it, with the keys of package envelopetest.
package eventstoretest

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
)

// Quota keeps the streams of tests small: the server reserves it on disk.
const Quota = 256 << 20

// Topology is the product's own, for servers that need not sync every write.
func Topology(n natstest.Server) eventstore.Topology {
	return eventstore.NewTopology(n.Replicas(), Quota).Anywhere()
}

// Provision makes all streams, durables and buckets.
func Provision(t testing.TB, n natstest.Server) {
	t.Helper()
	if err := eventstore.Provision(t.Context(), n.JetStream(), Topology(n)); err != nil {
		t.Fatal(err)
	}
	for _, stream := range Topology(n).Streams {
		n.Synced(t, stream.Name)
	}
	for _, bucket := range []string{"KV_" + eventstore.BucketDeadlines, "KV_" + eventstore.BucketNotices, "OBJ_" + eventstore.BucketEvidence} {
		n.Synced(t, bucket)
	}
}

// Store is a store of its own for that writer, as another process would have it.
// The streams must be there.
func Store(n natstest.Server, writer string, opts ...eventstore.Option) *eventstore.Store {
	return eventstore.New(n.JetStream(), envelopetest.Ring(), envelopetest.Signer(writer), time.Now, opts...)
}
