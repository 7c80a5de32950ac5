package executor_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

const common = `common:
  nats: {urls: ["nats://127.0.0.1:4222"]}
  signing_key: {id: executor-test, file: key.pem}
  keyring_file: keyring.yaml
  http_listen: 127.0.0.1:0
`

func TestTheConfigurationIsCheckedWithoutReachingAnybody(t *testing.T) {
	for _, test := range []struct {
		name, more string
		faults     []string
	}{
		{"nothing but what is required", "", nil},
		{"a noop target", "targets: [{target: eu1, noop: {}}]\n", nil},
		{"an unknown key", "target: []\n", []string{"target"}},
		{"a target without a driver", "targets: [{target: eu1}]\n", []string{"targets[0]"}},
		{"a relative executable", "targets:\n  - target: eu1\n    host: {folder: /srv/shop, restart: {argv: [restart.sh]}}\n", []string{"targets[0].host.restart"}},
		{"a source of alerts", "alert_sources: [{name: alertmanager, kind: KIND_ALERTMANAGER, url: 'https://alertmanager:9093'}]\n", nil},
		{
			"sources of alerts that are none", "alert_sources:\n" +
				"  - {name: a, kind: KIND_PROMETHEUS, url: 'http://prometheus:9090'}\n  - {name: a, kind: KIND_PROMETHEUS, url: 'http://prometheus:9090'}\n" +
				"  - {name: b, kind: KIND_PROMETHEUS, url: 'http://prometheus:9090', token_file: /tmp/token}\n  - {name: c, kind: KIND_PROMETHEUS, url: 'prometheus:9090'}\n",
			[]string{"alert_sources[1].name: a is there already", "alert_sources[2]: token_file: a token is not sent over plain HTTP", "alert_sources[3]: url"},
		},
		{
			"everything at once", "targets: [{target: eu1, noop: {}}, {target: eu1, noop: {}}]\nregistries: [{host: a}, {host: a}]\n",
			[]string{"targets[1].target", "registries[1].host"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "executor.yaml")
			if err := os.WriteFile(path, []byte(common+test.more), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := executor.Load(path)
			if (err == nil) != (test.faults == nil) {
				t.Fatalf("got %v", err)
			}
			for _, fault := range test.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("%v does not name %s", err, fault)
				}
			}
		})
	}
}

// written is the service's configuration for a world, with more lines of it, as a file.
func written(t *testing.T, w *sitetest.World, more string) string {
	t.Helper()
	folder := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(envelopetest.PrivateKey(procedure.ServiceExecutor))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := protojson.Marshal(envelopetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	config := "common:\n  nats: {urls: [\"" + w.URL() + "\"]}\n  signing_key: {id: executor-test, file: " + filepath.Join(folder, "key.pem") +
		"}\n  keyring_file: " + filepath.Join(folder, "keyring.yaml") + "\n  http_listen: 127.0.0.1:0\nartifact_folder: " + w.Artifacts() + "\n" + more + "targets:\n"
	for _, target := range w.Targets {
		text, err := protojson.Marshal(target)
		if err != nil {
			t.Fatal(err)
		}
		config += "  - " + string(text) + "\n"
	}
	for name, content := range map[string]string{"key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "keyring.yaml": string(ring), "executor.yaml": config} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "executor.yaml")
}

// TestTheServiceCarriesARelease runs the whole service from its configuration file.
func TestTheServiceCarriesARelease(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	cfg, err := executor.Load(written(t, w, ""))
	if err != nil {
		t.Fatal(err)
	}
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhasePreview) // Here it goes on by itself.
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- executor.Run(ctx, cfg) }()
	for _, phase := range []procedure.Phase{procedure.PhaseRisk, procedure.PhaseVerify, procedure.PhaseVerify, procedure.PhaseRecord} {
		r.Reaches(t, phase)
		switch phase { //nolint:exhaustive // The phases of this list.
		case procedure.PhaseRisk:
			r.To(t, procedure.PhaseNotify)
			r.Do(t, "", proceduretest.Notify(r.State(t)))
		case procedure.PhaseVerify:
			r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
		}
	}
	if w.Running(t, "eu1") != 2 || w.Standing(t, "eu1").State.GetDeployed().GetRelease() != r.ID || w.Standing(t, "eu2").LockedBy != "" {
		t.Errorf("eu1 carries version %d: %v", w.Running(t, "eu1"), w.Standing(t, "eu1").State)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the service ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the service does not end")
	}
}
