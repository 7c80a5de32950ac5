package bucket_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/internal/natstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func entry(t *testing.T, url, name, key string) *bucket.Entry {
	t.Helper()
	e, err := bucket.New("test", &configv1.ConfigEntry{Nats: &configv1.Nats{Urls: strings.Split(url, ",")}, Bucket: name, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func make8(t *testing.T, n natstest.Server) jetstream.KeyValue {
	t.Helper()
	kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "limits", History: 8, Replicas: n.Replicas()})
	if err != nil {
		t.Fatal(err)
	}
	n.Synced(t, "KV_limits")
	return kv
}

func TestOfTwoWritesAfterOneRevisionOneIsStored(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		kv := make8(t, n)
		e := entry(t, n.URL(), "limits", "shop.orders")
		if r, err := e.Last(t.Context()); err != nil || r.Sequence != 0 || r.Present {
			t.Errorf("of nothing: %+v, %v", r, err)
		}
		w := bucket.Write{Value: []byte("one"), Present: true, Header: nats.Header{"Beside": {"it"}}}
		first, err := e.Put(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry(t, n.URL(), "limits", "shop.orders").Put(t.Context(), w); !errors.Is(err, bucket.ErrRaced) {
			t.Errorf("after nothing again: %v", err)
		}
		if _, err := kv.PutString(t.Context(), "shop.orders", "by hand"); err != nil {
			t.Fatal(err)
		}
		w.After = first
		if _, err := e.Put(t.Context(), w); !errors.Is(err, bucket.ErrRaced) {
			t.Errorf("after what was there before: %v", err)
		}
		r, err := e.Last(t.Context())
		if err != nil || string(r.Value) != "by hand" || !r.Present || r.Header.Get("Beside") != "" {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := e.Put(t.Context(), bucket.Write{After: r.Sequence, Header: nats.Header{"Beside": {"nothing"}}}); err != nil {
			t.Error(err)
		}
		n.Synced(t, "KV_limits")
		if _, err := kv.Get(t.Context(), "shop.orders"); !errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("a reader gets %v", err)
		}
		all, err := e.History(t.Context())
		if err != nil || len(all) != 3 || all[0].Header.Get("Beside") != "it" || all[0].Value != nil || all[0].Size != 3 || all[0].Digest != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("one"))) || all[2].Present || all[2].Header.Get("Beside") != "nothing" {
			t.Errorf("%+v, %v", all, err)
		}
		if r, err := e.Read(t.Context(), first); err != nil || string(r.Value) != "one" || r.Sequence != first {
			t.Errorf("of the history: %+v, %v", r, err)
		}
		if err := kv.Purge(t.Context(), "shop.orders"); err != nil {
			t.Fatal(err)
		}
		if r, err := e.Read(t.Context(), first); err != nil || r.Sequence != 0 || r.Digest != "" {
			t.Errorf("of what is gone: %+v, %v", r, err)
		}
	})
}

func TestLimitsAreThoseOfBucketAndServer(t *testing.T) {
	n := natstest.Single(t)
	make8(t, n)
	got, err := entry(t, n.URL(), "limits", "shop").Limits(t.Context())
	first := got.Created
	if want := (bucket.Limits{History: 8, Bytes: n.Conn().MaxPayload(), Room: math.MaxInt64, Intact: true, Created: first}); first == "" || got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "small", History: 1, MaxValueSize: 100, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	got, err = entry(t, n.URL(), "small", "shop").Limits(t.Context())
	if want := (bucket.Limits{History: 1, Bytes: 100, Room: math.MaxInt64, Expires: true, Intact: true, Created: got.Created}); got.Created == first || got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := n.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "KV_endless", Subjects: []string{"$KV.endless.>"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := entry(t, n.URL(), "endless", "shop").Limits(t.Context()); got.History != math.MaxInt || err != nil {
		t.Errorf("%+v, %v, want no bound", got, err)
	}
	if _, err := entry(t, n.URL(), "small", "shop").Put(t.Context(), bucket.Write{Value: make([]byte, 101), Present: true}); !errors.Is(err, bucket.ErrRefused) {
		t.Errorf("101 bytes: %v", err)
	}
}

func TestABucketFromWhichAnythingWasRemovedSaysSo(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		kv, e := make8(t, n), entry(t, n.URL(), "limits", "shop")
		for i := range 9 {
			if got, err := e.Limits(t.Context()); !got.Intact || err != nil {
				t.Errorf("after %d writes: %+v, %v", i, got, err)
			}
			if _, err := kv.PutString(t.Context(), "shop", "x"); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := e.Limits(t.Context()); got.Intact || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestAFullBucketRefuses: it is no server that does not answer, and nothing was written.
func TestAFullBucketRefuses(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		for name, c := range map[string]jetstream.StreamConfig{
			"bytes": {MaxBytes: 4096}, "revisions": {MaxMsgs: 1}, "of-a-key": {MaxMsgsPerSubject: 1, DiscardNewPerSubject: true},
		} {
			c.Name, c.Subjects, c.Discard, c.Replicas = "KV_"+name, []string{"$KV." + name + ".>"}, jetstream.DiscardNew, n.Replicas()
			if _, err := n.JetStream().CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			n.Synced(t, c.Name)
			e := entry(t, n.URL(), name, "shop")
			before, err := e.Limits(t.Context())
			if before.Room != cmp.Or(c.MaxBytes, math.MaxInt64) || before.Expires || err != nil {
				t.Errorf("%s: %+v, %v", name, before, err)
			}
			first, err := e.Put(t.Context(), bucket.Write{Value: make([]byte, 3000), Present: true})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Limits(t.Context()); name != "of-a-key" && got.Room > 4096-3000 || err != nil {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if _, err := e.Put(t.Context(), bucket.Write{After: first, Value: make([]byte, 3000), Present: true}); !errors.Is(err, bucket.ErrRefused) || errors.Is(err, bucket.ErrUnanswered) {
				t.Errorf("%s: %v", name, err)
			}
			if r, err := e.Last(t.Context()); r.Sequence != first || err != nil {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	})
}

// TestNobodyWaitsForAConnectionLongerThanHisContextLasts: a server that takes the call and
// says nothing.
func TestNobodyWaitsForAConnectionLongerThanHisContextLasts(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	e := entry(t, "nats://"+listener.Addr().String(), "limits", "shop")
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error, 2)
	for range cap(answers) {
		go func() {
			_, err := e.Last(ctx)
			answers <- err
		}()
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, bucket.ErrUnavailable) {
			t.Errorf("got %v, want %v", err, bucket.ErrUnavailable)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	// The call is not over yet: nobody waited for its end.
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the call has ended: %v", err)
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	n := natstest.Single(t)
	if _, err := entry(t, n.URL(), "none", "shop").Last(t.Context()); !errors.Is(err, bucket.ErrNoBucket) {
		t.Errorf("no bucket: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := entry(t, "nats://127.0.0.1:1", "limits", "shop").Last(ctx); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
	if _, err := entry(t, "nats://127.0.0.1:1", "limits", "shop").Put(t.Context(), bucket.Write{Present: true}); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
	e := entry(t, n.URL(), "limits", "shop")
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Last(t.Context()); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

// TestAServerOfABucketIsNotWhereNobodyMayBeCalled: this machine by another name than its own,
// where the server would answer.
func TestAServerOfABucketIsNotWhereNobodyMayBeCalled(t *testing.T) {
	n := natstest.Single(t)
	make8(t, n)
	_, port, _ := strings.Cut(strings.TrimPrefix(n.URLs()[0], "nats://"), ":")
	for _, url := range []string{"nats://0.0.0.0:" + port, "nats://[::ffff:0.0.0.0]:" + port} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := entry(t, url, "limits", "shop").Last(ctx); !errors.Is(err, bucket.ErrUnavailable) {
			t.Errorf("%s: %v", url, err)
		}
		cancel()
	}
	if _, err := entry(t, "nats://localhost:"+port, "limits", "shop").Last(t.Context()); err != nil {
		t.Errorf("localhost: %v", err)
	}
}
