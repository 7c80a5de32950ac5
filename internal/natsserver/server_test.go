package natsserver_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/dirlock"
	"github.com/blackdice/shipwarden/internal/natsserver"
)

func run(t *testing.T, cfg natsserver.Config) *natsserver.Server {
	t.Helper()
	server, err := natsserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(server.Shutdown)
	if err := server.WaitReady(t.Context()); err != nil {
		t.Fatalf("wait: %v", err)
	}
	return server
}

func dial(t *testing.T, server *natsserver.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(server.ClientURL(), append(opts, nats.Timeout(time.Minute))...)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestStreamsSurviveAShutdown(t *testing.T) {
	cfg := natsserver.Config{StoreDir: filepath.Join(t.TempDir(), "made", "below"), SyncAlways: true}
	first := run(t, cfg)
	js, err := jetstream.New(dial(t, first))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KEPT", Subjects: []string{"kept"}, Placement: &jetstream.Placement{Tags: []string{"sync:always"}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept", []byte("x")); err != nil {
		t.Fatal(err)
	}
	first.Shutdown()
	first.Shutdown()

	second := run(t, cfg)
	if js, err = jetstream.New(dial(t, second, second.InProcess())); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KEPT")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 1 {
		t.Errorf("stream holds %d messages, want 1", got)
	}
}

func TestSyncAlwaysReachesJetStream(t *testing.T) {
	for _, want := range []bool{true, false} {
		server := run(t, natsserver.Config{StoreDir: t.TempDir(), SyncAlways: want})
		if got := server.SyncAlways(); got != want {
			t.Errorf("configured %t, JetStream runs with %t", want, got)
		}
	}
}

func TestASecondServerOnOneStoreIsRefused(t *testing.T) {
	cfg := natsserver.Config{StoreDir: t.TempDir()}
	run(t, cfg)
	_, err := natsserver.Start(t.Context(), cfg)
	if !errors.Is(err, dirlock.ErrLocked) || !strings.Contains(err.Error(), cfg.StoreDir) {
		t.Fatalf("got %v, want ErrLocked naming the store", err)
	}
}

func TestATakenPortIsAnErrorAndFreesTheStore(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Port: listener.Addr().(*net.TCPAddr).Port}
	_, err = natsserver.Start(t.Context(), cfg)
	if !errors.Is(err, natsserver.ErrNotReady) || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("got %v, want ErrNotReady with the reason", err)
	}
	cfg.Port = 0
	run(t, cfg)
}

func TestTheDefaultPayloadLimitHolds(t *testing.T) {
	conn := dial(t, run(t, natsserver.Config{StoreDir: t.TempDir()}))
	if got := conn.MaxPayload(); got != 128<<10 {
		t.Errorf("max payload %d, want %d", got, 128<<10)
	}
	if err := conn.Publish("x", make([]byte, 128<<10+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("got %v, want ErrMaxPayload", err)
	}
}

func TestMonitoringListensOnLoopback(t *testing.T) {
	server := run(t, natsserver.Config{StoreDir: t.TempDir(), MonitorPort: natsserver.RandomPort})
	if !strings.HasPrefix(server.MonitorURL(), "http://127.0.0.1:") {
		t.Fatalf("monitoring at %q", server.MonitorURL())
	}
	response, err := http.Get(server.MonitorURL() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Errorf("healthz answers %s", response.Status)
	}
	if url := run(t, natsserver.Config{StoreDir: t.TempDir()}).MonitorURL(); url != "" {
		t.Errorf("monitoring is at %q although it is off", url)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  natsserver.Config
		want error
	}{
		"no store":     {natsserver.Config{}, natsserver.ErrNoStoreDir},
		"user twice":   {natsserver.Config{StoreDir: t.TempDir(), Users: []natsserver.User{{Name: "a"}, {Name: "a"}}}, natsserver.ErrDuplicateUser},
		"missing file": {natsserver.Config{StoreDir: t.TempDir(), ConfigFile: "/absent.conf"}, fs.ErrNotExist},
		"no directory": {natsserver.Config{StoreDir: os.DevNull + "/x"}, syscall.ENOTDIR},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := natsserver.Start(t.Context(), test.cfg)
			if err == nil {
				t.Fatal("the server started")
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestMessagesOfTheServerReachTheLog(t *testing.T) {
	var out lockedBuffer
	server := run(t, natsserver.Config{
		Name: "lights", StoreDir: t.TempDir(), Log: slog.New(slog.NewJSONHandler(&out, nil)),
	})
	server.Shutdown()
	if !strings.Contains(out.String(), "lights") {
		t.Errorf("log %q does not name the server", out.String())
	}
	if server.Err() != nil {
		t.Errorf("an ordinary shutdown is reported as %v", server.Err())
	}
}

// lockedBuffer is written by the server's goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
