package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bucket is the ledger in the key-value bucket NOTICES. A value is a letter, and
// behind the one for the end the receipt.
type Bucket struct{ kv jetstream.KeyValue }

const (
	begun   = "b"
	undone  = "u" // did not arrive: may be begun again
	settled = "r"
)

// OpenBucket opens the bucket, which must exist.
func OpenBucket(ctx context.Context, js jetstream.JetStream) (Bucket, error) {
	kv, err := js.KeyValue(ctx, eventstore.BucketNotices)
	if err != nil {
		return Bucket{}, fmt.Errorf("open bucket %s: %w", eventstore.BucketNotices, err)
	}
	return Bucket{kv}, nil
}

// Begin implements Ledger. Where the answer of the bucket is lost, the error leaves
// open whether the key was kept; the next call then says that it is not new, and the
// notice is not sent: better not at all than twice.
func (b Bucket) Begin(ctx context.Context, key string) (Sending, error) {
	name := nameOf(key)
	_, err := b.kv.Create(ctx, name, []byte(begun))
	if err == nil {
		return Sending{First: true}, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return Sending{}, err
	}
	e, err := b.kv.Get(ctx, name)
	if err != nil {
		return Sending{}, err
	}
	kind, rest := string(e.Value()[:min(len(e.Value()), 1)]), e.Value()[min(len(e.Value()), 1):]
	switch kind {
	case undone:
		// Only one of those who read the same revision may go on.
		if _, err := b.kv.Update(ctx, name, []byte(begun), e.Revision()); err != nil {
			return Sending{}, err
		}
		return Sending{First: true}, nil
	case settled:
		receipt := &releasev1.Receipt{}
		if err := proto.Unmarshal(rest, receipt); err != nil {
			return Sending{}, fmt.Errorf("read the receipt of %s: %w", key, err)
		}
		return Sending{Receipt: receipt, Since: e.Created()}, nil
	}
	return Sending{Since: e.Created()}, nil
}

// End implements Ledger.
func (b Bucket) End(ctx context.Context, key string, receipt *releasev1.Receipt) error {
	value := []byte(undone)
	if receipt != nil {
		body, err := proto.Marshal(receipt)
		if err != nil {
			return fmt.Errorf("encode the receipt of %s: %w", key, err)
		}
		value = append([]byte(settled), body...)
	}
	_, err := b.kv.Put(ctx, nameOf(key), value)
	return err
}

func nameOf(key string) string { return strings.ReplaceAll(key, "/", ".") }
