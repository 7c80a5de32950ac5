package natstest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readyTimeout bounds every wait of this package. It is long because machines
// that run tests are often short of processors; a healthy cluster needs 1-2 s.
const readyTimeout = 3 * time.Minute

// Server is one server or one cluster under test. Its methods fail the test on
// errors. They may be called from several goroutines of that test, except
// Stop, Start and Restart, which the test's own goroutine must call.
type Server interface {
	// URL lists the client addresses of all servers, separated by commas, as
	// nats.Connect takes them.
	URL() string
	// URLs are the client addresses by server index.
	URLs() []string
	// Size is the number of servers: 1 or 3.
	Size() int
	// Replicas is the replica count for streams: 1 or 3.
	Replicas() int
	// Conn is a shared connection that reconnects for ever; cleanup closes it.
	Conn() *nats.Conn
	// JetStream is the JetStream interface of Conn.
	JetStream() jetstream.JetStream
	// Connect opens a further connection, closed at the test's end.
	Connect(t testing.TB, opts ...nats.Option) *nats.Conn
	// Leader is the index of the server that leads the stream. It waits for one.
	Leader(t testing.TB, stream string) int
	// Synced waits until every running server holds the stream's last message as of now, so
	// that reads which any server may answer, as those of buckets, do not lag, and knows who
	// takes messages for it, and until the server of Conn knows who answers those reads: servers
	// hear of both from the others, and may hear of the stream before.
	Synced(t testing.TB, stream string)
	// Stop shuts server i down and keeps its store.
	Stop(t testing.TB, i int)
	// Start starts the stopped server i again on its old store and address, and
	// returns when JetStream is usable there.
	Start(t testing.TB, i int)
	// Restart is Stop and Start.
	Restart(t testing.TB, i int)
}

// Option changes how servers are started.
type Option func(*settings)

type settings struct {
	syncAlways bool
}

// WithSyncAlways makes the servers sync every write, as in production. It is off
// by default: no test of this package's users cuts the power.
func WithSyncAlways() Option { return func(s *settings) { s.syncAlways = true } }

// Single starts one server that ends with the test.
func Single(t testing.TB, opts ...Option) Server {
	t.Helper()
	return start(t, 1, opts)
}

// Cluster starts a JetStream cluster of three that ends with the test. On return
// a leader is elected and every server is current.
func Cluster(t testing.TB, opts ...Option) Server {
	t.Helper()
	return start(t, 3, opts)
}

// Each runs body as two subtests: "R1" on one server, "R3" on a cluster of three.
func Each(t *testing.T, body func(t *testing.T, n Server)) {
	t.Helper()
	t.Run("R1", func(t *testing.T) { body(t, Single(t)) })
	t.Run("R3", func(t *testing.T) { body(t, Cluster(t)) })
}

// Eventually polls holds until it returns true, and fails the test with what
// was waited for when that takes longer than three minutes.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", readyTimeout, what)
		case <-ticker.C:
		}
	}
}
