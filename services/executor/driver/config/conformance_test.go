package config_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/natstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
)

const (
	target = "shop-config"
	key    = "shop.limits"
)

// The executors that die and sleep are this test binary.
func TestMain(m *testing.M) {
	drivertest.Main(m, drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			var c place
			data, err := os.ReadFile(filepath.Join(folder, "place.json"))
			if err == nil {
				err = json.Unmarshal(data, &c)
			}
			if err != nil {
				return nil, err
			}
			return config.New(c.config(), config.Options{Target: target, At: at})
		},
		Plan: func(_ string, version int) driver.Plan { return plan(version) },
	})
}

// place is where the document is, for processes that must find it.
type place struct {
	URL, Bucket string
	Repository  json.RawMessage `json:",omitempty"`
}

func (p place) config() *configv1.ConfigDriver {
	if p.Repository != nil {
		var c configv1.GitRepository
		if err := protojson.Unmarshal(p.Repository, &c); err != nil {
			return nil // It is refused, and the test says why.
		}
		return inRepository(&c)
	}
	return &configv1.ConfigDriver{Entry: &configv1.ConfigEntry{
		Nats: &configv1.Nats{Urls: strings.Split(p.URL, ",")}, Bucket: p.Bucket, Key: key,
	}}
}

// world is a bucket of its own, seen by a plain client.
type world struct {
	natstest.Server
	place
	kv jetstream.KeyValue
}

var buckets atomic.Int64

func newWorld(t *testing.T, n natstest.Server, history uint8) *world {
	t.Helper()
	name := fmt.Sprintf("settings-%d", buckets.Add(1))
	kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, History: history, Replicas: n.Replicas()})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Server: n, place: place{URL: n.URL(), Bucket: name}, kv: kv}
}

func (w *world) open(t *testing.T, at func(string)) *config.Driver {
	t.Helper()
	return opened(t, w.config(), at)
}

func opened(t *testing.T, c *configv1.ConfigDriver, at func(string)) *config.Driver {
	t.Helper()
	d, err := config.New(c, config.Options{Target: target, At: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// history is what a plain client reads of the entry, oldest first.
func (w *world) history(t *testing.T) []jetstream.KeyValueEntry {
	t.Helper()
	w.Synced(t, "KV_"+w.Bucket)
	all, err := w.kv.History(t.Context(), key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Fatal(err)
	}
	return all
}

// value is the document as any reader of the bucket gets it; "" for none.
func (w *world) value(t *testing.T) string {
	t.Helper()
	w.Synced(t, "KV_"+w.Bucket)
	entry, err := w.kv.Get(t.Context(), key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(entry.Value())
}

func (w *world) put(t *testing.T, value string) {
	t.Helper()
	if _, err := w.kv.PutString(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func digest(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
}

// effects counts how often the document changed.
func (w *world) effects(t *testing.T) int {
	t.Helper()
	n, before := 0, ""
	for _, e := range w.history(t) {
		now := ""
		if e.Operation() == jetstream.KeyValuePut {
			now = digest(string(e.Value()))
		}
		if now != before {
			n, before = n+1, now
		}
	}
	return n
}

// state is all that the bucket keeps of the entry, headers and all.
func (w *world) state(t *testing.T) string {
	t.Helper()
	w.Synced(t, "KV_"+w.Bucket)
	stream, err := w.JetStream().Stream(t.Context(), "KV_"+w.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for seq := max(1, stream.CachedInfo().State.FirstSeq); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%d %s %v %q\n", m.Sequence, m.Subject, m.Header, m.Data)
	}
	return out.String()
}

// tidy removes all revisions of the entry but the newest.
func (w *world) tidy(t *testing.T) {
	t.Helper()
	stream, err := w.JetStream().Stream(t.Context(), "KV_"+w.Bucket)
	if err == nil {
		err = stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV."+w.Bucket+"."+key), jetstream.WithPurgeKeep(1))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func document(version int) string {
	return fmt.Sprintf("# limits of the shop\nlimits:\n  orders: %d\n", version)
}

func plan(version int) driver.Plan {
	return planOf(fmt.Sprintf("%d.0.0", version), "limits.yaml", document(version))
}

func planOf(version, location, content string) driver.Plan {
	return driver.Plan{Target: target, Version: version, Artifact: artifact.New(&releasev1.Artifact{
		Name: "limits", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, Location: location, Digest: digest(content),
	}, int64(len(content)), func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(content))), nil
	})}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		drivertest.Exercise(t, func(t *testing.T) drivertest.Harness {
			h, _ := harness(t, n)
			return h
		})
	})
}

func harness(t *testing.T, n natstest.Server) (drivertest.Harness, *world) {
	t.Helper()
	w, folder := newWorld(t, n, 64), t.TempDir()
	data, err := json.Marshal(w.place)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "place.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return drivertest.Harness{
		Open:    func(t *testing.T) driver.Driver { return w.open(t, nil) },
		Plan:    func(_ *testing.T, version int) driver.Plan { return plan(version) },
		Effects: w.effects,
		Carries: func(t *testing.T) string { return digest(w.value(t)) },
		State:   w.state,
		Points:  config.Points,
		Lose:    func(t *testing.T, _ int) { w.tidy(t) },
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
	}, w
}
