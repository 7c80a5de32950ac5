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

// Begun implements Ledger.
func (b Bucket) Begun(ctx context.Context, key string) (bool, error) {
	_, err := b.kv.Get(ctx, nameOf(key))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Gather implements Ledger.
func (b Bucket) Gather(ctx context.Context, batch, release string) error {
	_, err := b.kv.Put(ctx, nameOf("wait/"+batch+"/"+release), nil)
	return err
}

// Gathered implements Ledger.
func (b Bucket) Gathered(ctx context.Context, batch string) ([]string, error) {
	prefix := nameOf("wait/" + batch + "/")
	keys, err := b.kv.ListKeysFiltered(ctx, prefix+">")
	if err != nil {
		return nil, err
	}
	var out []string
	for key := range keys.Keys() {
		out = append(out, strings.TrimPrefix(key, prefix))
	}
	// A list that was cut off looks like one that is complete.
	return out, ctx.Err()
}

// Sealed implements Ledger.
func (b Bucket) Sealed(ctx context.Context, batch string) (string, error) {
	e, err := b.kv.Get(ctx, nameOf("seal/"+batch))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(e.Value()), nil
}

// Seal implements Ledger.
func (b Bucket) Seal(ctx context.Context, batch, digest string) (string, error) {
	_, err := b.kv.Create(ctx, nameOf("seal/"+batch), []byte(digest))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return b.Sealed(ctx, batch)
	}
	return digest, err
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
