package natstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/loopback/loopbacktest"
	"github.com/blackdice/shipwarden/internal/natsserver"
)

const (
	globalAccount = "$G"
	// startAttempts bounds how often a set of reserved ports is given up because
	// another process took one of them in between.
	startAttempts = 2
)

// servers implements Server.
type servers struct {
	configs []natsserver.Config
	running []*natsserver.Server // nil at a stopped index
	conn    *nats.Conn
	js      jetstream.JetStream
}

func start(t testing.TB, size int, opts []Option) *servers {
	t.Helper()
	set := settings{}
	for _, opt := range opts {
		opt(&set)
	}
	s := &servers{}
	var err error
	for range startAttempts {
		if s.configs, err = configs(t, size, set); err != nil {
			break
		}
		if err = s.startAll(t.Context()); err == nil {
			break
		}
		s.stopAll()
	}
	if err != nil {
		t.Fatalf("start %d nats servers: %v", size, err)
	}
	t.Cleanup(s.stopAll)
	for i := range s.running {
		s.waitReady(t, i)
	}
	s.conn = s.Connect(t)
	if s.js, err = jetstream.New(s.conn, jetstream.WithDefaultTimeout(readyTimeout)); err != nil {
		t.Fatalf("open jetstream: %v", err)
	}
	s.waitAnswer(t)
	return s
}

// configs reserves the ports that a server must keep over restarts.
func configs(t testing.TB, size int, set settings) ([]natsserver.Config, error) {
	ports := make([]int, 2*size)
	for i := range ports {
		_, port, err := net.SplitHostPort(loopbacktest.Address(t))
		if err != nil {
			return nil, err
		}
		if ports[i], err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	}
	out := make([]natsserver.Config, size)
	routes := make([]string, size)
	for i := range size {
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[size+i])
	}
	for i := range size {
		out[i] = natsserver.Config{
			Name:       fmt.Sprintf("n%d", i),
			StoreDir:   t.TempDir(),
			Port:       ports[i],
			SyncAlways: set.syncAlways,
		}
		if size > 1 {
			out[i].Cluster = &natsserver.Cluster{Name: "test", Port: ports[size+i], Routes: routes}
		}
	}
	return out, nil
}

func (s *servers) startAll(ctx context.Context) error {
	s.running = make([]*natsserver.Server, len(s.configs))
	for i, cfg := range s.configs {
		if err := s.startOne(ctx, i, cfg); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) startOne(ctx context.Context, i int, cfg natsserver.Config) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	server, err := natsserver.Start(ctx, cfg)
	s.running[i] = server
	return err
}

// stopAll stops concurrently: a member that leaves alone would wait for a new
// leader that its peers are about to lose as well.
func (s *servers) stopAll() {
	done := make(chan struct{})
	count := 0
	for i, server := range s.running {
		if server == nil {
			continue
		}
		s.running[i] = nil
		count++
		go func() {
			server.Shutdown()
			done <- struct{}{}
		}()
	}
	for range count {
		<-done
	}
}

func (s *servers) waitReady(t testing.TB, i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := s.running[i].WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// waitAnswer waits until JetStream answers requests: shortly after a start the
// cluster is current but the first requests can still go unanswered.
func (s *servers) waitAnswer(t testing.TB) {
	t.Helper()
	Eventually(t, "an answer of JetStream", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.js.AccountInfo(ctx)
		return err == nil && s.places(ctx)
	})
}

// places reports whether a stream can be placed on all servers. The one that leads
// learns that the others are there a moment after they are, and until then refuses.
// The stream stays: a server that deletes its only stream removes the directory of all
// of them in the background, from under the next one that is made.
func (s *servers) places(ctx context.Context) bool {
	running := 0
	for _, server := range s.running {
		if server != nil {
			running++
		}
	}
	if len(s.configs) == 1 || running < len(s.configs) {
		return true // There is nothing to place, or no place for it, and nobody asks for one.
	}
	const probe = "NATSTEST_READY"
	_, err := s.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: probe, Subjects: []string{"natstest.ready"}, Replicas: len(s.configs), Storage: jetstream.MemoryStorage,
	})
	return err == nil
}

func (s *servers) URLs() []string {
	out := make([]string, len(s.configs))
	for i, cfg := range s.configs {
		out[i] = fmt.Sprintf("nats://127.0.0.1:%d", cfg.Port)
	}
	return out
}

func (s *servers) URL() string                    { return strings.Join(s.URLs(), ",") }
func (s *servers) Size() int                      { return len(s.configs) }
func (s *servers) Replicas() int                  { return len(s.configs) }
func (s *servers) Conn() *nats.Conn               { return s.conn }
func (s *servers) JetStream() jetstream.JetStream { return s.js }

func (s *servers) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	all := append([]nats.Option{
		nats.Name(t.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
		nats.DontRandomize(),
		nats.Timeout(readyTimeout),
	}, opts...)
	conn, err := nats.Connect(s.URL(), all...)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.URL(), err)
	}
	t.Cleanup(func() { closeAndWait(conn) })
	return conn
}

// closeAndWait closes the connection and waits until its goroutines have ended,
// so that leak checks after the test see none of them.
func closeAndWait(conn *nats.Conn) {
	if conn.IsClosed() {
		return
	}
	closed := conn.StatusChanged(nats.CLOSED)
	conn.Close()
	<-closed
}

func (s *servers) Leader(t testing.TB, stream string) int {
	t.Helper()
	leader := 0
	Eventually(t, "a leader of stream "+stream, func() bool {
		for i, server := range s.running {
			if server != nil && (s.Size() == 1 || server.LeadsStream(globalAccount, stream)) {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

func (s *servers) Synced(t testing.TB, stream string) {
	t.Helper()
	known, err := s.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("stream %s: %v", stream, err)
	}
	last := known.CachedInfo().State.LastSeq
	Eventually(t, "every server holds the last message of "+stream, func() bool {
		for _, server := range s.running {
			if server == nil {
				continue
			}
			if here, err := server.LastSequence(globalAccount, stream); err != nil || here < last {
				return false
			}
			for _, subject := range known.CachedInfo().Config.Subjects {
				if !server.Delivers(globalAccount, literal(subject)) {
					return false
				}
			}
		}
		return true
	})
	if known.CachedInfo().Config.AllowDirect {
		Eventually(t, "somebody answers direct reads of "+stream, func() bool { return s.answersDirect(t, stream) })
	}
}

// literal is a subject that a pattern matches.
func literal(pattern string) string {
	return strings.NewReplacer("*", "x", ">", "x").Replace(pattern)
}

// answersDirect reports whether the server of Conn knows of a server that answers direct reads
// of the stream. It may know of the stream before, because it hears of the two on different
// connections.
func (s *servers) answersDirect(t testing.TB, stream string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	// The form by the last message of a subject, since that is known after the other form. What is
	// answered is that there is none.
	_, err := s.conn.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream+".none", nil)
	if err != nil && !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("direct read of %s: %v", stream, err)
	}
	return err == nil
}

func (s *servers) Stop(t testing.TB, i int) {
	t.Helper()
	if s.running[i] == nil {
		t.Fatalf("stop nats server %d: it is not running", i)
	}
	s.running[i].Shutdown()
	s.running[i] = nil
}

func (s *servers) Start(t testing.TB, i int) {
	t.Helper()
	if s.running[i] != nil {
		t.Fatalf("start nats server %d: it is running", i)
	}
	if err := s.startOne(t.Context(), i, s.configs[i]); err != nil {
		t.Fatalf("start nats server %d: %v", i, err)
	}
	s.waitReady(t, i)
	s.waitAnswer(t)
}

func (s *servers) Restart(t testing.TB, i int) {
	t.Helper()
	s.Stop(t, i)
	s.Start(t, i)
}
