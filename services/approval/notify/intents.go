package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket keeps intents in the key-value bucket NOTICES.
type Bucket struct{ kv jetstream.KeyValue }

// OpenIntents opens the bucket, which must exist.
func OpenIntents(ctx context.Context, js jetstream.JetStream) (Bucket, error) {
	kv, err := js.KeyValue(ctx, eventstore.BucketNotices)
	if err != nil {
		return Bucket{}, fmt.Errorf("open bucket %s: %w", eventstore.BucketNotices, err)
	}
	return Bucket{kv}, nil
}

// First implements Intents. Where the answer of the bucket is lost, the error leaves
// open whether the key was kept; the next call then says that it is not new, and the
// notice is not sent: better not at all than twice.
func (b Bucket) First(ctx context.Context, key string) (bool, error) {
	_, err := b.kv.Create(ctx, strings.ReplaceAll(key, "/", "."), nil)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	return err == nil, err
}
