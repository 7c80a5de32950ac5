package natstest

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestADirectReadIsAnsweredOnceThereIsSomebody: what nobody answers yet is waited for and is no
// error, and that the bucket is empty is an answer.
func TestADirectReadIsAnsweredOnceThereIsSomebody(t *testing.T) {
	t.Parallel()
	Each(t, func(t *testing.T, n Server) {
		s := n.(*servers)
		if s.answersDirect(t, "KV_settings") {
			t.Fatal("a bucket that is not there answers")
		}
		if _, err := s.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "settings", Replicas: s.Replicas()}); err != nil {
			t.Fatal(err)
		}
		n.Synced(t, "KV_settings")
		if !s.answersDirect(t, "KV_settings") {
			t.Error("a bucket that is synced does not answer")
		}
	})
}
