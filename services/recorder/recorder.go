// Package recorder is the recorder service: it writes the record of every release
// and answers questions about it. It reads the whole stream and appends one kind of
// event, `recorded`; it decides nothing about a release. Where it is told to, it tells people
// by mail what is on record in their name.
package recorder

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/digest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/query"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

// Name is the service's name.
const Name = "recorder"

// patience is how long a start waits for the database.
const patience = time.Minute

// Deps is what a process gives the service beside its configuration. The zero
// value is good.
type Deps struct {
	// Now is the clock that events are stamped with; nil means the system's.
	Now func() time.Time
	// Listening is called once the service listens; nil means that nobody asks.
	Listening func(Addresses)
}

// Addresses are those that the service listens on.
type Addresses struct {
	GRPC, HTTP string
}

// Run runs the service until the context ends.
func Run(ctx context.Context, cfg *configv1.Recorder, deps Deps) error {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s, err := prepare(cfg, deps.Now)
	if err != nil {
		return err
	}
	health, registry := &service.Health{}, service.NewRegistry(Name)
	web, err := service.NewHTTPServer(ctx, cfg.GetCommon().GetHttpListen(), registry, health)
	if err != nil {
		return err
	}
	grpc, err := service.NewGRPCServer(ctx, service.GRPCConfig{
		Listen: cfg.GetGrpc().GetListen(), TLS: s.tls, Registry: registry, Health: health,
		Unary: s.unary(), Stream: s.stream(),
	})
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "serving", slog.String("grpc", grpc.Addr()), slog.String("http", web.Addr()))
	conn, err := service.ConnectNATS(ctx, Name, cfg.GetCommon().GetNats())
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	if err := s.open(ctx); err != nil {
		conn.Close()
		return err
	}
	defer s.close()

	store := eventstore.New(js, s.ring, s.signer, deps.Now, eventstore.WithMetrics(registry))
	step := record.NewStep(s.reader, store, deps.Now, registry)
	rec := record.New(js, s.ring, s.ledger, registry, step.Offer)
	tail := ledger.NewTail(s.dsn, migrations.Schema)
	phases := newPhases(registry, s.reader)
	kept := evidence.New(js)
	recorderv1.RegisterRecorderServiceServer(grpc.Server, query.New(s.reader, tail, rec.StreamSequence, time.Now).WithEvidence(kept))
	health.Add("nats", service.NATSCheck(conn))
	health.Add("database", s.reader.Ping)
	health.Add("recording", rec.Ready)

	group := service.NewGroup(health, 0)
	group.Add("http", web.Run)
	group.Add("nats", service.HoldNATS(conn))
	group.Add("phases", phases.run)
	group.Add("tail", tail.Run)
	group.Add("step", step.Run)
	group.Add("recording", rec.Run)
	group.Add("grpc", grpc.Run)
	if t := s.digest; t != nil {
		group.Add("digest", digest.New(digest.Config{
			Calendar: t.calendar, Digests: s.digests, Reader: s.reader, Documents: policy.NewSource(kept.Get), Stream: rec.Look,
			Relay: t.relay, From: t.from, Now: deps.Now, Metrics: registry,
		}).Run)
	}
	if deps.Listening != nil {
		deps.Listening(Addresses{GRPC: grpc.Addr(), HTTP: web.Addr()})
	}
	return group.Run(ctx)
}

// open brings the database up to date, where that is ours to do, and connects. A
// database that does not answer yet is waited for.
func (s *parts) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := s.tryOpen(ctx)
		if err == nil {
			return nil
		}
		s.close()
		slog.WarnContext(ctx, "the database is not ready yet", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

func (s *parts) tryOpen(ctx context.Context) (err error) {
	if s.migrateDSN != "" {
		config, err := pgx.ParseConfig(s.migrateDSN)
		if err != nil {
			return fmt.Errorf("read the connection string of migrate_url_file: %w", err)
		}
		if err := migrations.Up(ctx, config, migrations.Schema); err != nil {
			return err
		}
	}
	if s.ledger, err = ledger.Open(ctx, s.dsn, migrations.Schema); err != nil {
		return err
	}
	if s.reader, err = ledger.OpenReader(ctx, s.dsn, migrations.Schema); err != nil || s.digest == nil {
		return err
	}
	s.digests, err = ledger.OpenDigests(ctx, s.dsn, migrations.Schema)
	return err
}

func (s *parts) close() {
	if s.ledger != nil {
		s.ledger.Close()
	}
	if s.reader != nil {
		s.reader.Close()
	}
	if s.digests != nil {
		s.digests.Close()
	}
	s.ledger, s.reader, s.digests = nil, nil, nil
}

// parts is what a configuration stands for.
type parts struct {
	ring            *envelope.Keyring
	signer          *envelope.Signer
	dsn, migrateDSN string
	access
	// digest is nil where nobody is told.
	digest *telling

	ledger  *ledger.Ledger
	reader  *ledger.Reader
	digests *ledger.Digests
}
