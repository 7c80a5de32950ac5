package recorder_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(pgtest.Run(m))
}

const token = "reader-token"

// file writes a file that only its owner reads.
func file(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func asJSON(t *testing.T, m *configv1.Keyring) []byte {
	t.Helper()
	out, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// configure writes a configuration with all of its files, and returns its path.
func configure(t *testing.T, n natstest.Server, dsn string) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(envelopetest.PrivateKey(procedure.ServiceRecorder))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token))
	return file(t, dir, "recorder.yaml", fmt.Appendf(nil, `
common:
  nats: {urls: [%q]}
  signing_key: {id: %s, file: %s}
  keyring_file: %s
  http_listen: 127.0.0.1:0
grpc: {listen: "127.0.0.1:0"}
database_url_file: %s
migrate_url_file: %s
tokens_file: %s
digest: {url_file: %s, from: shipwarden@shop.example, at: "07:00", time_zone: Europe/Berlin}
`, n.URL(), envelopetest.KeyID(procedure.ServiceRecorder),
		file(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		file(t, dir, "keyring.json", asJSON(t, envelopetest.Config())),
		file(t, dir, "dsn", []byte(dsn+"\n")), file(t, dir, "owner-dsn", []byte(dsn)),
		file(t, dir, "tokens.yaml", fmt.Appendf(nil, "tokens: [{sha256: %s, person: audra, reader: true}]\n", hex.EncodeToString(sum[:]))),
		file(t, dir, "relay", []byte("smtp://127.0.0.1:1"))))
}

// run runs the service until the test ends.
func run(t *testing.T, config string) recorder.Addresses {
	t.Helper()
	cfg, err := recorder.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan recorder.Addresses, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- recorder.Run(ctx, cfg, recorder.Deps{Listening: func(a recorder.Addresses) { listening <- a }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	select {
	case a := <-listening:
		return a
	case err := <-done:
		done <- nil
		t.Fatalf("the service did not start: %v", err)
		return recorder.Addresses{}
	}
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestTheServiceFromItsFiles(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	dsn := pgtest.Database(t)
	config := configure(t, n, dsn)
	at := run(t, config)
	natstest.Eventually(t, "a ready service", func() bool {
		code, _ := get(t, at.HTTP, "/readyz")
		return code == http.StatusOK
	})

	s := recordertest.LiveStream()
	h := s.New(proceduretest.Request())
	h.To(t, procedure.PhaseRecord)
	recordertest.Publish(t, n, h.Entries...)

	conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := recorderv1.NewRecorderServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	got, err := client.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: h.Release, MinSequence: h.Last + 1, Events: true})
	if err != nil || got.GetRelease().GetPhase() != "follow_up" || len(got.GetEvents()) != len(h.Entries)+1 {
		t.Errorf("release %v (%v)", got.GetRelease(), err)
	}
	for name, call := range map[string]func() error{
		"a release id that is none": func() error {
			_, err := client.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: "../x'"})
			return err
		},
		"a negative page": func() error {
			_, err := client.ListReleases(ctx, &recorderv1.ListReleasesRequest{PageSize: -1})
			return err
		},
		"a page of a billion": func() error {
			_, err := client.ListRefusals(ctx, &recorderv1.ListRefusalsRequest{PageSize: 1_000_000_000})
			return err
		},
		"a token of 2 KiB": func() error {
			_, err := client.ListReleases(ctx, &recorderv1.ListReleasesRequest{PageToken: strings.Repeat("A", 2048)})
			return err
		},
		"a form that does not exist": func() error {
			_, err := client.GetRecord(ctx, &recorderv1.GetRecordRequest{Release: h.Release, Format: 9})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("health without a token: %v", err)
	}
	natstest.Eventually(t, "people who are told from today on", func() bool {
		_, metrics := get(t, at.HTTP, "/metrics")
		return strings.Contains(metrics, "\nshipwarden_recorder_digest_overdue_seconds 0\n") && days(t, dsn) == 1
	})
	metricsAreClean(t, at.HTTP)
	rebuilds(t, config, dsn)
}

func metricsAreClean(t *testing.T, address string) {
	t.Helper()
	_, text := get(t, address, "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
	for _, name := range []string{
		"shipwarden_recorder_lag_events 0", "shipwarden_recorder_last_sequence ", `shipwarden_recorder_stopped{reason="gap"} 0`,
		`shipwarden_releases{state="follow_up"} `, "shipwarden_recorder_records_total",
	} {
		if !strings.Contains(text, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// rebuilds runs the subcommand on the record, as it is and changed.
func rebuilds(t *testing.T, config, dsn string) {
	t.Helper()
	for _, c := range []struct {
		name, change string
		args         []string
		status       int
		says         string
	}{
		{"as it is", "", nil, 0, "both records are the same"},
		{"changed", "update shipwarden.releases set owner = 'mallory'", nil, 1, "not the same: (shop-"},
		{"repaired", "", []string{"-replace"}, 0, "shipwarden_before_"},
		{"after the repair", "", nil, 0, "both records are the same"},
		{"with an argument too many", "", []string{"x"}, 2, ""},
	} {
		if c.change != "" {
			db, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(t.Context(), c.change); err != nil {
				t.Fatal(err)
			}
			_ = db.Close(t.Context())
		}
		var stdout, stderr bytes.Buffer
		got := recorder.Rebuild(t.Context(), append([]string{"-config", config}, c.args...), &stdout, &stderr)
		if got != c.status || !strings.Contains(stdout.String(), c.says) {
			t.Errorf("rebuild %s: status %d, want %d\n%s%s", c.name, got, c.status, stdout.String(), stderr.String())
		}
	}
}

// days is how many days are noted of which people are told.
func days(t *testing.T, dsn string) (n int) {
	t.Helper()
	conn := recordertest.Connect(t, dsn, migrations.Reader)
	if err := conn.QueryRow(t.Context(), "select count(*) from digest_days").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAConfigurationThatLetsEverybodyReadIsRefused(t *testing.T) {
	n := natstest.Single(t)
	config := configure(t, n, pgtest.Database(t))
	cfg, err := recorder.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	cfg.TokensFile = ""
	if err := recorder.Run(t.Context(), cfg, recorder.Deps{}); err == nil || !strings.Contains(err.Error(), "tokens_file") {
		t.Errorf("got %v", err)
	}
}
