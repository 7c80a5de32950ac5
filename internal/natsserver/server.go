package natsserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// pollInterval is how often readiness is looked at again.
const pollInterval = 5 * time.Millisecond

// Server is a running NATS server. All methods may be called concurrently.
type Server struct {
	inner *server.Server
	fatal *fatalLog
	lock  *dirlock.Lock
	// clustered is true when the server needs peers to be ready.
	clustered bool
	once      sync.Once
}

// Start runs a server and returns once it takes client connections. A single
// server is then fully ready; a member of a cluster is ready only when WaitReady
// says so, because it needs its peers. It gives up, as WaitReady does, when ctx ends, or after
// DefaultReadyTimeout where ctx has no deadline. The caller must call Shutdown.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("configure nats server: %w", err)
	}
	if err := os.MkdirAll(cfg.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("create nats store: %w", err)
	}
	lock, err := dirlock.Acquire(cfg.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("open nats store: %w", err)
	}
	inner, err := server.NewServer(opts)
	if err != nil {
		lock.Release()
		return nil, fmt.Errorf("make nats server: %w", err)
	}
	s := &Server{
		inner:     inner,
		fatal:     newFatalLog(),
		lock:      lock,
		clustered: cfg.Cluster != nil,
	}
	inner.SetLoggerV2(&logAdapter{ctx: context.WithoutCancel(ctx), log: cfg.Log, fatal: s.fatal}, false, false, false)
	inner.Start()
	if err := s.waitUntil(ctx, s.accepts); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// accepts reports whether clients can connect and JetStream is on.
func (s *Server) accepts() bool {
	return s.inner.ReadyForConnections(pollInterval) && s.inner.JetStreamEnabled()
}

// WaitReady returns once JetStream can be used: at once on a single server, in a
// cluster when this server is current with an elected meta leader. It returns an
// error that wraps ErrNotReady when ctx ends first, or DefaultReadyTimeout where ctx
// has no deadline.
func (s *Server) WaitReady(ctx context.Context) error {
	return s.waitUntil(ctx, func() bool {
		if !s.accepts() {
			return false
		}
		return !s.clustered || s.inner.JetStreamIsCurrent()
	})
}

// waitUntil polls ready until it holds, the server gives up, or time is over.
func (s *Server) waitUntil(ctx context.Context, ready func() bool) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultReadyTimeout)
		defer cancel()
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if ready() {
			return nil
		}
		select {
		case <-s.fatal.done:
			return fmt.Errorf("start nats server %q: %w: %s", s.inner.Name(), ErrNotReady, s.fatal.message())
		case <-ctx.Done():
			return fmt.Errorf("wait for nats server %q: %w: %w", s.inner.Name(), ErrNotReady, ctx.Err())
		case <-ticker.C:
		}
	}
}

// ClientURL is where clients connect, with the port really in use.
func (s *Server) ClientURL() string { return s.inner.ClientURL() }

// MonitorURL is the base of the HTTP monitoring, or "" when that is off.
func (s *Server) MonitorURL() string {
	addr := s.inner.MonitorAddr()
	if addr == nil {
		return ""
	}
	return "http://" + addr.String()
}

// ClusterURL is where peers connect their routes, or "" for a single server.
func (s *Server) ClusterURL() string {
	addr := s.inner.ClusterAddr()
	if addr == nil {
		return ""
	}
	return "nats://" + addr.String()
}

// Name is the server's name: the configured one, or one made at random.
func (s *Server) Name() string { return s.inner.Name() }

// InProcess makes a client connect through memory instead of a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.inner) }

// SyncAlways reports the setting that JetStream really runs with.
func (s *Server) SyncAlways() bool {
	cfg := s.inner.JetStreamConfig()
	return cfg != nil && cfg.SyncAlways
}

// LeadsMeta reports whether this server leads the JetStream cluster.
func (s *Server) LeadsMeta() bool { return s.inner.JetStreamIsLeader() }

// LeadsStream reports whether this server leads the stream of the account.
func (s *Server) LeadsStream(account, stream string) bool {
	return s.inner.JetStreamIsStreamLeader(account, stream)
}

// LastSequence is that of the stream's last message as this server itself holds it, which
// may lag behind the leader; 0 where it holds none, and where there is no such stream.
func (s *Server) LastSequence(account, stream string) (uint64, error) {
	info, err := s.inner.Jsz(&server.JSzOptions{Account: account, Streams: true})
	if err != nil {
		return 0, fmt.Errorf("look at the streams of %s: %w", account, err)
	}
	for _, a := range info.AccountDetails {
		for _, detail := range a.Streams {
			if detail.Name == stream {
				return detail.State.LastSeq, nil
			}
		}
	}
	return 0, nil
}

// Delivers reports whether this server knows of somebody who takes messages of the subject in the
// account: it may know of a stream before it does.
func (s *Server) Delivers(account, subject string) bool {
	a, err := s.inner.LookupAccount(account)
	return err == nil && a.SubscriptionInterest(subject)
}

// Failed is closed when the server met an error that it cannot go on with.
func (s *Server) Failed() <-chan struct{} { return s.fatal.done }

// Err returns why the server failed, or nil while it has not.
func (s *Server) Err() error {
	select {
	case <-s.fatal.done:
		return errors.New("nats server: " + s.fatal.message())
	default:
		return nil
	}
}

// Shutdown flushes the streams, closes every connection, and returns when the
// server has ended and its store is free. Calling it again does nothing more.
func (s *Server) Shutdown() {
	s.once.Do(func() {
		s.inner.Shutdown()
		s.inner.WaitForShutdown()
		s.lock.Release()
	})
}
