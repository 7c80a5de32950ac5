// Package approval is the service that says yes or no and touches nothing: it takes
// requests in, confirms gates, judges risks, takes people's decisions, tells
// stakeholders, calls people, and watches the clock.
package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/catalog"
	"github.com/blackdice/shipwarden/services/approval/deadline"
	"github.com/blackdice/shipwarden/services/approval/escalate"
	"github.com/blackdice/shipwarden/services/approval/evidence/sigstore"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/intake"
	"github.com/blackdice/shipwarden/services/approval/notify"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// The sweeper looks this often for deadlines that are past by more than late.
const (
	sweepEvery = 30 * time.Second
	sweepLate  = 30 * time.Second
)

// Load reads and checks the service's configuration file, and the procedure
// document that it names.
func Load(path string) (*configv1.Approval, error) {
	cfg := &configv1.Approval{}
	if err := service.LoadConfig(path, cfg); err != nil {
		return nil, err
	}
	doc, _, err := document(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := trustedRoot(cfg, doc); err != nil {
		return nil, err
	}
	return cfg, nil
}

// trustedRoot reads the trusted root that the document names; nil where it names none.
func trustedRoot(cfg *configv1.Approval, doc *policyv1.Procedure) ([]byte, error) {
	want, path := doc.GetSigstore().GetTrustedRoot(), cfg.GetSigstoreRootFile()
	switch {
	case want == "":
		return nil, nil
	case path == "":
		return nil, fmt.Errorf("sigstore_root_file: required, because the procedure document names the trusted root %s", want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("sigstore_root_file: %w", err)
	}
	if got := policy.Digest(data); got != want {
		return nil, fmt.Errorf("sigstore_root_file: %s is %s, and the procedure document names %s", path, got, want)
	}
	if _, err := sigstore.ParseRoot(data); err != nil {
		return nil, fmt.Errorf("sigstore_root_file: %s: %w", path, err)
	}
	return data, nil
}

func document(cfg *configv1.Approval) (*policyv1.Procedure, []byte, error) {
	data, err := os.ReadFile(cfg.GetProcedureFile())
	if err != nil {
		return nil, nil, fmt.Errorf("procedure_file: %w", err)
	}
	doc, err := policy.Parse(data, cfg.GetProcedureFile())
	if err != nil {
		return nil, nil, fmt.Errorf("procedure_file: %w", err)
	}
	return doc, data, nil
}

// Run runs the service until the context ends. Options are for the connection to
// the bus, for instance one within the process.
func Run(ctx context.Context, cfg *configv1.Approval, options ...nats.Option) error {
	doc, data, err := document(cfg)
	if err != nil {
		return err
	}
	trusted, err := trustedRoot(cfg, doc)
	if err != nil {
		return err
	}
	told, err := channels(cfg)
	if err != nil {
		return err
	}
	for _, c := range doc.GetChannels() {
		if told[c.GetName()] == nil {
			slog.WarnContext(ctx, "no address is configured for a channel of the procedure document", slog.String("channel", c.GetName()))
		}
	}
	beside, err := referrers.New(cfg.GetRegistries())
	if err != nil {
		return err
	}
	s, err := station.Open(ctx, procedure.ServiceApproval, cfg.GetCommon(), options...)
	if err != nil {
		return err
	}
	if err := activate(ctx, s, doc, data, trusted); err != nil {
		s.Conn.Close()
		return err
	}
	clock, err := deadline.New(ctx, s.JS, s.Store, s.Now)
	if err != nil {
		s.Conn.Close()
		return err
	}
	if err := door(s, doc.GetId()); err != nil {
		s.Conn.Close()
		return err
	}
	notices, err := notify.OpenBucket(ctx, s.JS)
	if err != nil {
		s.Conn.Close()
		return err
	}
	s.Step(gates.New(s.Procedures, s.Evidence, beside))
	s.Step(risk.New(s.Procedures, s.Store))
	s.Step(authorize.New(s.Procedures))
	s.Step(notify.New(s.Procedures, told, notices, s.Evidence, s.Now))
	s.Step(escalate.New(s.Procedures))
	s.Step(catalog.New(s.Procedures, s.Store))
	s.Step(intake.NewTeller(intake.NewBoard(s.JS)))
	s.Step(clock.Setter())
	watch(s, clock, doc)
	if err := desk(ctx, s, cfg, doc.GetId(), clock); err != nil {
		s.Conn.Close()
		return err
	}
	return s.Run(ctx)
}

// activate puts the configured procedure document into effect: its bytes, and the
// trusted root that it names, become evidence, and an event names them. Releases that are under way go on under the
// document that they began with (N-20).
func activate(ctx context.Context, s *station.Station, doc *policyv1.Procedure, data, trusted []byte) error {
	digest := policy.Digest(data)
	if trusted != nil {
		if _, err := s.Evidence.Put(ctx, "application/json", "sigstore trusted root", trusted); err != nil {
			return fmt.Errorf("store the trusted root: %w", err)
		}
	}
	if _, err := s.Evidence.Put(ctx, "application/yaml", "procedure "+doc.GetVersion(), data); err != nil {
		return fmt.Errorf("store the procedure document: %w", err)
	}
	for {
		active, err := standing.ReadProcedure(ctx, s.Store, doc.GetId())
		if err != nil {
			return err
		}
		if active.Digest == digest {
			return nil
		}
		_, err = s.Store.Append(ctx, active.Draft(&releasev1.Event{
			Actor:           &releasev1.Actor{Id: procedure.ServiceApproval, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"},
			ProcedureDigest: digest,
			Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{
				Version: doc.GetVersion(), Digest: digest,
			}},
		}))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("activate the procedure document: %w", err)
		}
		slog.InfoContext(ctx, "procedure document in effect", slog.String("version", doc.GetVersion()), slog.String("digest", digest))
		return nil
	}
}

// door is the intake of requests.
func door(s *station.Station, procedureID string) error {
	in, err := intake.New(s.Store, s.Procedures, procedureID, s.Evidence, intake.NewBoard(s.JS), s.Now)
	if err != nil {
		return err
	}
	s.Registry.MustRegister(in.Refusals())
	s.Consume(eventstore.StreamRequests, string(procedure.StepIntake), func(ctx context.Context, m reactor.Message) error {
		return in.Take(ctx, intake.Message{
			Subject: m.Subject, ContentType: headerOf(m.Header, "Content-Type"), Signature: headerOf(m.Header, intake.SignatureHeader),
			Body: m.Data, Sequence: m.Sequence,
		})
	})
	return nil
}

// headerOf reads a header however it is spelled: plain clients spell them as they
// like, and the bus does not mind. Of two spellings the first in alphabetical order
// counts, always.
func headerOf(h nats.Header, name string) string {
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if strings.EqualFold(k, name) && len(h[k]) > 0 {
			return h[k][0]
		}
	}
	return ""
}

// watch answers timers, and sweeps up what they miss.
func watch(s *station.Station, clock *deadline.Clock, doc *policyv1.Procedure) {
	missed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shipwarden_timers_missed_total", Help: "Deadlines that were found past by the sweeper, because their timer did not fire.",
	})
	s.Registry.MustRegister(missed)
	s.Consume(eventstore.StreamTimers, string(procedure.StepClock), func(ctx context.Context, m reactor.Message) error {
		return clock.Fired(ctx, m.Subject)
	})
	s.Group.Add("sweeper", func(ctx context.Context) error {
		clock.Sweep(ctx, sweepEvery, sweepLate, func(ctx context.Context) ([]string, error) { return open(ctx, s.Store, doc) }, missed.Inc)
		return nil
	})
}

// open returns every release that the services of the document have open or owe a
// review for, by the record.
func open(ctx context.Context, r standing.Reader, doc *policyv1.Procedure) ([]string, error) {
	var all []string
	for _, environment := range doc.GetEnvironments() {
		for _, name := range doc.GetServices() {
			s, err := standing.ReadService(ctx, r, environment.GetName(), name.GetName())
			if err != nil {
				return nil, err
			}
			all = append(all, s.Open...)
			for _, d := range s.Debts {
				if !slices.Contains(all, d.GetRelease()) {
					all = append(all, d.GetRelease())
				}
			}
		}
	}
	return all, nil
}

// desk is the gRPC service through which people decide.
func desk(ctx context.Context, s *station.Station, cfg *configv1.Approval, procedureID string, clock *deadline.Clock) error {
	who, err := callers(cfg.GetTokensFile())
	if err != nil {
		return err
	}
	secure, err := service.ServerTLS(cfg.GetGrpc().GetTls())
	if err != nil {
		return err
	}
	server, err := service.NewGRPCServer(ctx, service.GRPCConfig{
		Listen: cfg.GetGrpc().GetListen(), TLS: secure, Registry: s.Registry, Health: s.Health,
		Unary: []grpc.UnaryServerInterceptor{who.Unary}, Stream: []grpc.StreamServerInterceptor{who.Stream},
	})
	if err != nil {
		return err
	}
	approvalv1.RegisterApprovalServiceServer(server.Server, authorize.NewServer(s.Store, s.Procedures, procedureID, clock, s.Evidence, s.Now))
	slog.InfoContext(ctx, "serving decisions", slog.String("grpc", server.Addr()))
	s.Group.Add("grpc", server.Run)
	return nil
}

func callers(path string) (*identity.Authenticator, error) {
	tokens := &configv1.Tokens{}
	if path != "" {
		if err := service.LoadConfig(path, tokens); err != nil {
			return nil, fmt.Errorf("tokens_file: %w", err)
		}
	}
	who, err := identity.New(tokens)
	return who, service.InField("tokens_file", err)
}
