package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/natstest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// limits is a service that reads its limits from a bucket whenever it is asked, and is well
// as long as they are sane.
func limits(t *testing.T, kv jetstream.KeyValue, key string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var read struct{ Orders int }
		entry, err := kv.Get(r.Context(), key)
		if err == nil {
			err = yaml.Unmarshal(entry.Value(), &read)
		}
		if err != nil || read.Orders > 100 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "%d orders", read.Orders)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestADocumentIsReleasedAndABadOneIsTakenBack: two buckets of a NATS that is not Shipwarden's,
// and services that read them.
func TestADocumentIsReleasedAndABadOneIsTakenBack(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "limits", History: 16})
	if err != nil {
		t.Fatal(err)
	}
	folder := ""
	y := open(t, plan{config: func(w *shop.World, cfg *rig.Config) error {
		folder, cfg.Reconcile = cfg.ArtifactFolder, time.Second
		cfg.Procedure = bytes.ReplaceAll(cfg.Procedure, []byte("driver: host, kinds: [ARTIFACT_KIND_FILE]"), []byte("driver: config, kinds: [ARTIFACT_KIND_CONFIGURATION]"))
		schema := filepath.Join(cfg.ArtifactFolder, "limits.schema.json")
		if err := os.WriteFile(schema, []byte(`{"type":"object","required":["orders"],"properties":{"orders":{"type":"integer"}}}`), 0o600); err != nil {
			return err
		}
		cfg.Targets, cfg.Places = nil, nil
		for _, id := range w.Targets {
			entry := &configv1.ConfigEntry{Nats: &configv1.Nats{Urls: n.URLs()}, Bucket: "limits", Key: id}
			cfg.Targets = append(cfg.Targets, &configv1.TargetDriver{Target: id, Driver: &configv1.TargetDriver_Config{
				Config: &configv1.ConfigDriver{Entry: entry, SchemaFile: schema},
			}})
			cfg.Places = append(cfg.Places, &configv1.TargetAddress{Target: id, BaseUrl: limits(t, kv, id).URL, Config: entry})
		}
		return nil
	}})
	document := func(version, text string) shop.Artifact {
		name := "limits-" + version + ".yaml"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			y.Fatal(err)
		}
		return shop.Artifact{Version: version, Location: name, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))}
	}
	asked := func(orders int) func(*releasev1.Request) {
		return func(r *releasev1.Request) {
			r.GetArtifacts()[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION
			r.GetValidation().GetChecks()[0].GetHttp().ExpectBody = fmt.Sprintf("%d orders", orders)
		}
	}
	has := func(want string) {
		y.Helper()
		for _, id := range y.world.Targets {
			if entry, err := kv.Get(y.Context(), id); err != nil || string(entry.Value()) != want {
				y.Errorf("%s has %v, %v, not %q", id, entry, err, want)
			}
		}
	}

	good := document("1.0.0", "# Orders that are taken at a time.\norders: 7\n")
	released := y.release(good, "doc-1", asked(7))
	has("# Orders that are taken at a time.\norders: 7\n")

	// One that its schema refuses never comes to anybody's eyes.
	id := y.submit(document("1.1.0", "orders: many\n"), "doc-2", asked(8))
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_REJECTED), "/orders: is a string")

	// One that is well formed and wrong is taken back by its checks.
	id = y.submit(document("1.2.0", "orders: 700\n"), "doc-3", asked(700))
	y.approve(id, "carol", "dave")
	y.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	has("# Orders that are taken at a time.\norders: 7\n")
	first, err := kv.History(y.Context(), y.world.Targets[0])
	if err != nil || len(first) != 3 || !strings.Contains(string(first[1].Value()), "700") {
		y.Errorf("the first target's history: %v, %v", first, err)
	}
	if second, err := kv.History(y.Context(), y.world.Targets[1]); err != nil || string(second[len(second)-1].Value()) != string(first[0].Value()) {
		y.Errorf("the second target's history: %v, %v", second, err)
	}

	// What somebody writes by hand calls people within one interval, holds the next release up,
	// and is not overwritten.
	if _, err := kv.PutString(y.Context(), y.world.Targets[0], "orders: 9\n"); err != nil {
		y.Fatal(err)
	}
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	stands := func() *recorderv1.Release {
		r, err := recorder.GetRelease(y.Context(), &recorderv1.GetReleaseRequest{Release: released})
		if err != nil {
			y.Fatal(err)
		}
		return r.GetRelease()
	}
	y.eventually("a call for what was changed by hand", func() bool {
		return slices.Contains(stands().GetOpenEscalations(), releasev1.Cause_CAUSE_UNRECORDED_CHANGE)
	})
	y.eventually("the change in the record", func() bool {
		return strings.Contains(y.record(released), "target "+y.world.Targets[0]+" was changed and no release did it")
	})
	if _, err := y.as("erin").Acknowledge(y.Context(), &approvalv1.AcknowledgeRequest{Release: released, Comment: "it was me, at night"}); err != nil {
		y.Error(err)
	}
	y.closes(released, "erin")
	y.eventually("its end", func() bool { return len(stands().GetOpenEscalations()) == 0 && stands().GetClosed() })
	id = y.submit(document("1.3.0", "orders: 10\n"), "doc-4", asked(10))
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_REJECTED), "changed by hand")
	if entry, err := kv.Get(y.Context(), y.world.Targets[0]); err != nil || string(entry.Value()) != "orders: 9\n" {
		y.Errorf("%v, %v", entry, err)
	}
}
