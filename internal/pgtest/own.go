package pgtest

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/blackdice/shipwarden/internal/postgres"
)

// Own is a server of one test. Only the test's own goroutine may use it.
type Own struct {
	cfg    postgres.Config
	server *postgres.Server
}

// StartOwn starts a durable server on a loopback port that ends with the test.
// It needs no Main.
func StartOwn(t testing.TB) *Own {
	t.Helper()
	dir, lock, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	o := &Own{cfg: postgres.Config{Dir: filepath.Join(dir, "pg"), Listen: "127.0.0.1:0", Durable: true}}
	t.Cleanup(func() {
		if o.server != nil {
			o.server.Stop(context.Background())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's postgres: %v", err)
		}
		lock.Release()
	})
	o.Start(t)
	// Later starts keep the port, so that a DSN stays good.
	o.cfg.Listen = o.server.Addr()
	return o
}

// DSN is the URL of the database postgres; it stays the same over restarts.
func (o *Own) DSN() string { return o.server.DSN("postgres") }

// Kill ends the postmaster by SIGKILL and returns when it is gone. Its backends
// notice and follow.
func (o *Own) Kill(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(o.server.PID(), syscall.SIGKILL); err != nil {
		t.Fatalf("kill postgres: %v", err)
	}
	<-o.server.Ended()
	o.server.Stop(t.Context())
}

// Stop shuts the server down in order and keeps its data.
func (o *Own) Stop(t testing.TB) {
	t.Helper()
	o.server.Stop(t.Context())
}

// Start runs the killed or stopped server again on its data.
func (o *Own) Start(t testing.TB) {
	t.Helper()
	server, err := postgres.Start(t.Context(), o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.server = server
}
