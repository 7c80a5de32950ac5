// Package station is a service's place on the bus: its connection, its view of the
// record, the evidence, the procedure documents, and the steps that it runs. The
// four services differ in their steps and share everything in here.
//
// A station creates nothing on the bus: streams, durables and buckets are made by
// one admin step before any service starts, and no service has the right to.
package station

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// ErrKey says that the service's own key is not the one that the keyring names.
var ErrKey = errors.New("key is not that of the keyring")

// Station is one process's place on the bus. Its fields are set by Open and not
// changed afterwards.
type Station struct {
	// Name is the service's, Process this process's, different at each start.
	Name    string
	Process string
	Conn    *nats.Conn
	JS      jetstream.JetStream
	// Ring knows the keys of all writers; Store appends with this service's own.
	Ring       *envelope.Keyring
	Store      *eventstore.Store
	Evidence   *evidence.Store
	Procedures *policy.Source
	Registry   *prometheus.Registry
	Health     *service.Health
	Group      *service.Group
	HTTP       *service.HTTPServer
	Now        func() time.Time

	reactor reactor.Config
	started atomic.Bool
}

// drain bounds how long a service takes to stop.
const drain = 20 * time.Second

// Open connects a service to the bus and waits until JetStream answers. Meanwhile the
// service tells that it lives and is not ready. The caller adds its parts to the group
// and runs it; on an error nothing is left open.
func Open(ctx context.Context, name string, cfg *configv1.Common, options ...nats.Option) (*Station, error) {
	ring, signer, err := keys(name, cfg)
	if err != nil {
		return nil, err
	}
	s := &Station{
		Name: name, Process: process(name), Ring: ring, Registry: service.NewRegistry(name), Health: &service.Health{}, Now: time.Now,
	}
	s.Group = service.NewGroup(s.Health, drain)
	if s.HTTP, err = service.NewHTTPServer(ctx, cfg.GetHttpListen(), s.Registry, s.Health); err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "serving health and metrics", slog.String("http", s.HTTP.Addr()))
	answering := answer(ctx, s.HTTP)
	s.Group.Add("http", answering.until)
	s.Health.Add("started", func(context.Context) error {
		if !s.started.Load() {
			return errNotStarted
		}
		return nil
	})
	if s.Conn, err = service.ConnectNATS(ctx, name, cfg.GetNats(), options...); err != nil {
		return nil, errors.Join(err, answering.end())
	}
	s.Health.Add("nats", service.NATSCheck(s.Conn))
	s.Group.Add("nats", service.HoldNATS(s.Conn))
	if err := s.join(ctx, cfg, signer); err != nil {
		s.Conn.Close()
		return nil, errors.Join(err, answering.end())
	}
	s.Evidence.Metrics(s.Registry)
	s.Group.Add("evidence", s.Evidence.Run)
	return s, nil
}

// Visit is Open for somebody who does one thing as the service and leaves: it serves
// nothing and runs nothing. The caller closes the connection.
func Visit(ctx context.Context, name string, cfg *configv1.Common, options ...nats.Option) (*Station, error) {
	ring, signer, err := keys(name, cfg)
	if err != nil {
		return nil, err
	}
	s := &Station{
		Name: name, Process: process(name), Ring: ring, Registry: service.NewRegistry(name), Health: &service.Health{}, Now: time.Now,
	}
	if s.Conn, err = service.ConnectNATS(ctx, name, cfg.GetNats(), options...); err != nil {
		return nil, err
	}
	if err := s.join(ctx, cfg, signer); err != nil {
		s.Conn.Close()
		return nil, err
	}
	return s, nil
}

var errNotStarted = errors.New("jetstream has not answered yet, or the service is not set up")

// answering is the HTTP server, which answers before the other parts run: what waits
// for the bus would be taken for dead otherwise, and started again and again.
type answering struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
}

func answer(ctx context.Context, server *service.HTTPServer) *answering {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &answering{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		a.err = server.Run(ctx)
	}()
	return a
}

// until is the server as a part of the group.
func (a *answering) until(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return a.end()
	case <-a.ended:
		return a.err
	}
}

func (a *answering) end() error {
	a.cancel()
	<-a.ended
	return a.err
}

func (s *Station) join(ctx context.Context, cfg *configv1.Common, signer *envelope.Signer) error {
	js, err := jetstream.New(s.Conn)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	s.JS = js
	if err := service.WaitReady(ctx, func(ctx context.Context) error {
		_, err := js.Stream(ctx, eventstore.StreamEvents)
		return err
	}); err != nil {
		return err
	}
	s.Store = eventstore.New(js, s.Ring, signer, s.Now, eventstore.WithMetrics(s.Registry),
		// What reading left behind goes back to the system: the service may rest for long.
		eventstore.WithRest(debug.FreeOSMemory))
	s.Evidence = evidence.New(js)
	s.Procedures = policy.NewSource(s.Evidence.Get)
	s.reactor = reactor.Config{
		Name: s.Process, Workers: int(cfg.GetWorkers()), AckWait: cfg.GetAckWait().AsDuration(),
		Now: s.Now, Metrics: s.Registry, Turns: reactor.NewTurns(),
	}
	return nil
}

// Step adds a step of the procedure to what the service runs.
func (s *Station) Step(step reactor.Step) {
	s.Group.Add(string(step.ID), func(ctx context.Context) error {
		return reactor.Run(ctx, s.JS, s.Store, s.reactor, step)
	})
}

// Consume adds a consumer whose messages are not events of releases.
func (s *Station) Consume(stream, durable string, handle func(context.Context, reactor.Message) error) {
	s.Group.Add(durable, func(ctx context.Context) error {
		return reactor.Consume(ctx, s.JS, stream, durable, s.reactor, handle)
	})
}

// Run runs everything that was added until the context ends.
func (s *Station) Run(ctx context.Context) error {
	// Reading the configuration compiles rules, which takes several times the memory that
	// the service needs at rest; it may rest for long before anything else frees it.
	debug.FreeOSMemory()
	s.started.Store(true)
	return s.Group.Run(ctx)
}

// keys reads the keyring and the service's own key, which must be in it: a service
// whose events nobody trusts finds out when it starts, and not when one is needed.
func keys(name string, cfg *configv1.Common) (*envelope.Keyring, *envelope.Signer, error) {
	named := &configv1.Keyring{}
	if err := service.LoadConfig(cfg.GetKeyringFile(), named); err != nil {
		return nil, nil, fmt.Errorf("keyring_file: %w", err)
	}
	ring, err := envelope.NewKeyring(named)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring_file %s: %w", cfg.GetKeyringFile(), err)
	}
	secret, err := service.ReadSecret(cfg.GetSigningKey().GetFile())
	if err != nil {
		return nil, nil, fmt.Errorf("signing_key.file: %w", err)
	}
	private, err := envelope.ParsePrivateKey([]byte(secret.Reveal()))
	if err != nil {
		return nil, nil, fmt.Errorf("signing_key.file %s: %w", cfg.GetSigningKey().GetFile(), err)
	}
	signer, err := envelope.NewSigner(cfg.GetSigningKey().GetId(), name, private)
	if err != nil {
		return nil, nil, fmt.Errorf("signing_key: %w", err)
	}
	if !ring.Trusts(signer) {
		return nil, nil, fmt.Errorf("signing_key.id: %w: %q of %s", ErrKey, cfg.GetSigningKey().GetId(), name)
	}
	return ring, signer, nil
}

// process names this process: readable for people, and never the same twice.
func process(name string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "-" + host + "-" + strconv.Itoa(os.Getpid()) + "-" + uuid.NewString()[:8]
}
