package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/natstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// TestATargetThatIsADocumentRunsWhatItsBucketHas: whoever wrote it, and with no word from the
// service that reads it.
func TestATargetThatIsADocumentRunsWhatItsBucketHas(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "limits", History: 4, Replicas: n.Replicas()})
		if err != nil {
			t.Fatal(err)
		}
		looked := newTarget(t, &configv1.TargetAddress{Target: "eu1", Config: &configv1.ConfigEntry{
			Nats: &configv1.Nats{Urls: n.URLs()}, Bucket: "limits", Key: "shop.orders",
		}})
		t.Cleanup(looked.Close)
		if got := looked.Entry(); got != "limits/shop.orders" {
			t.Errorf("it is %q", got)
		}
		if got, err := looked.RunningDigest(t.Context()); !errors.Is(err, target.ErrNoAnswer) {
			t.Errorf("of nothing: %q, %v", got, err)
		}
		if _, err := kv.PutString(t.Context(), "shop.orders", "orders: 7\n"); err != nil {
			t.Fatal(err)
		}
		const want = "sha256:c0e138154f362fba04885012d9d2132f5299a7ae76f275a01c2b3c4bc3f53a87"
		got, err := looked.RunningDigest(t.Context())
		if err != nil || got != want {
			t.Errorf("got %q, %v", got, err)
		}
		if err := kv.Delete(t.Context(), "shop.orders"); err != nil {
			t.Fatal(err)
		}
		if got, err := looked.RunningDigest(t.Context()); !errors.Is(err, target.ErrNoAnswer) {
			t.Errorf("of what was deleted: %q, %v", got, err)
		}
		if got, err := newTarget(t, &configv1.TargetAddress{Target: "eu1", Config: &configv1.ConfigEntry{
			Nats: &configv1.Nats{Urls: n.URLs()}, Bucket: "none", Key: "shop",
		}}).RunningDigest(t.Context()); !errors.Is(err, target.ErrNotSeen) {
			t.Errorf("of no bucket: %q, %v", got, err)
		}
	})
}

func TestMistakesOfADocumentAreNamedByField(t *testing.T) {
	_, err := target.New(&configv1.TargetAddress{
		Target: "eu1", BaseUrl: "http://shop", DigestPath: "/digest", Config: &configv1.ConfigEntry{Bucket: "a.b", Key: ".."},
	}, nil)
	if !errors.Is(err, target.ErrConfig) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"config: nats.urls: required", "config: bucket: not a name", "config: key: not a name", "and so does digest_path"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %s in %v", want, err)
		}
	}
}
