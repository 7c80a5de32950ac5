package natstest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/natstest"
)

// TestWhoIsSyncedHasSomebodyWhoAnswers: a bucket is read from any server that holds it, and written
// to where its leader is. Who that is the server of a client hears from the others, and on another
// connection than that the bucket was made. Many are made at once, so that some of them are read in
// between.
func TestWhoIsSyncedHasSomebodyWhoAnswers(t *testing.T) {
	t.Parallel()
	n := natstest.Cluster(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			name := fmt.Sprintf("settings-%d", i)
			kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, Replicas: 3})
			if err != nil {
				t.Error(err)
				return
			}
			n.Synced(t, "KV_"+name)
			if _, err := kv.Get(t.Context(), "key"); !errors.Is(err, jetstream.ErrKeyNotFound) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := n.Conn().RequestWithContext(t.Context(), "$KV."+name+".key", nil); err != nil {
				t.Errorf("%s: write: %v", name, err)
			}
		})
	}
	all.Wait()
}
