package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is where the targets of the config driver lie: each is the key of its id.
const bucket = "targets"

// The stream below the bucket, the subject of an entry, and the headers of its messages. What
// the driver notes is read by its name, as an operator would, and not with the driver's code.
const (
	bucketStream    = "KV_" + bucket
	bucketSubject   = "$KV." + bucket + "."
	headerNote      = "Shipwarden-Target"
	headerOperation = "KV-Operation"
)

// revisionsKept is how many revisions of an entry the bucket keeps: the most of which the
// driver looks for a way back, and more than a run of the default length writes. Those that
// are gone are gaps.
const revisionsKept = 256

// provisionBucket makes the bucket, as whoever runs the application that reads it does.
func provisionBucket(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, History: 64}); err != nil {
		return err
	}
	s, err := js.Stream(ctx, bucketStream)
	if err != nil {
		return err
	}
	cfg := s.CachedInfo().Config
	cfg.MaxMsgsPerSubject = revisionsKept
	_, err = js.UpdateStream(ctx, cfg)
	return err
}

// note is what a target that keeps a fence knows of those who changed it.
type note struct {
	Epoch    string   `json:"epoch"`
	Sequence uint64   `json:"sequence"`
	Key      string   `json:"key"`
	Past     []string `json:"past_keys"`
	Sealed   []string `json:"sealed_keys"`
}

// begun are the keys with which something was begun, by what is noted.
func (n note) begun(keys map[string]bool) {
	sealed := map[string]bool{}
	for _, key := range n.Sealed {
		sealed[key] = true
	}
	for _, key := range append(n.Past, n.Key) {
		keys[key] = keys[key] || !sealed[key]
	}
}

// revision is one revision of an entry: when the server stored it, the digest of the bytes that
// any reader gets, and the fence and key that stand beside them.
func revision(m message) (effect, note) {
	var n note
	// A note that cannot be read is of no release, and is counted for that.
	_ = json.Unmarshal([]byte(m.Header.Get(headerNote)), &n)
	e := effect{Time: m.Stored, Target: strings.TrimPrefix(m.Subject, bucketSubject), Key: n.Key, Action: "apply"}
	e.Fence.Epoch, e.Fence.Sequence = n.Epoch, n.Sequence
	wave := e.Key[:max(0, strings.LastIndexByte(e.Key, '/'))]
	if strings.HasPrefix(strings.TrimPrefix(e.Key, wave), "/rollback-") {
		e.Action = "rollback"
	}
	e.Effect = wave + "/" + e.Action
	if m.Header.Get(headerOperation) == "" {
		e.Digest = digestOf(string(m.Data))
	}
	return e, n
}

// entries reads every revision of every entry, oldest first, and counts those that are gone.
// A revision that changes the document is an effect; others say who asked again, and who was
// shut out.
func (b *bench) readEntries(ctx context.Context, js jetstream.JetStream) error {
	all, missing, err := readAll(ctx, js, bucketStream)
	if err != nil {
		return fmt.Errorf("read the bucket: %w", err)
	}
	b.holes(bucketStream, missing)
	for _, m := range all {
		e, n := revision(m)
		if before := b.touched[e.Target]; len(before) == 0 && e.Digest != "" || len(before) > 0 && before[len(before)-1].Digest != e.Digest {
			b.effects[e.Target] = append(b.effects[e.Target], e)
		}
		b.touched[e.Target] = append(b.touched[e.Target], e)
		if b.begun[e.Target] == nil {
			b.begun[e.Target] = map[string]bool{}
		}
		n.begun(b.begun[e.Target])
	}
	return nil
}

// document is the digest of what an entry holds now, as any reader of the bucket gets it; ""
// where nothing was ever placed. While the bus is away it is asked again until the context ends.
func (w *world) document(ctx context.Context, id string) (string, error) {
	for {
		digest, err := w.documentOnce(ctx, id)
		if err == nil || ctx.Err() != nil {
			return digest, err
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (w *world) documentOnce(ctx context.Context, id string) (string, error) {
	conn := w.bus.Load()
	if conn == nil {
		return "", errors.New("the bus was not started yet")
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return "", err
	}
	entry, err := kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return digestOf(string(entry.Value())), nil
}
