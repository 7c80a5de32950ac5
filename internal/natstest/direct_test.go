package natstest_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/natstest"
)

// TestWhoIsSyncedHasSomebodyWhoAnswersDirectReads: a bucket is read from any server that holds
// it, and the server of the reader hears later who that is than the one that was written to.
func TestWhoIsSyncedHasSomebodyWhoAnswersDirectReads(t *testing.T) {
	t.Parallel()
	n := natstest.Cluster(t)
	for i := range 10 {
		bucket := jetstream.KeyValueConfig{Bucket: fmt.Sprintf("settings-%d", i), Replicas: 3}
		read, err := n.JetStream().CreateKeyValue(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		leader, err := nats.Connect(n.URLs()[n.Leader(t, "KV_"+bucket.Bucket)])
		if err != nil {
			t.Fatal(err)
		}
		defer leader.Close()
		js, err := jetstream.New(leader)
		if err != nil {
			t.Fatal(err)
		}
		written, err := js.KeyValue(t.Context(), bucket.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := written.PutString(t.Context(), "key", "value"); err != nil {
			t.Fatal(err)
		}
		n.Synced(t, "KV_"+bucket.Bucket)
		if _, err := read.Get(t.Context(), "key"); err != nil {
			t.Errorf("%s: %v", bucket.Bucket, err)
		}
	}
}
