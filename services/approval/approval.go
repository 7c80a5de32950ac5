// Package approval is the service that says yes or no and touches nothing: it takes
// requests in, confirms gates, judges risks, takes people's decisions, tells
// stakeholders, calls people, and watches the clock.
package approval

import (
	"context"
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

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/catalog"
	"github.com/blackdice/shipwarden/services/approval/deadline"
	"github.com/blackdice/shipwarden/services/approval/escalate"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/intake"
	"github.com/blackdice/shipwarden/services/approval/notify"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/risk"
	"github.com/blackdice/shipwarden/services/approval/whatif"
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
	return readDocument(cfg, policy.Parse)
}

func readDocument(cfg *configv1.Approval, parse func(data []byte, filename string) (*policyv1.Procedure, error)) (*policyv1.Procedure, []byte, error) {
	data, err := os.ReadFile(cfg.GetProcedureFile())
	if err != nil {
		return nil, nil, fmt.Errorf("procedure_file: %w", err)
	}
	doc, err := parse(data, cfg.GetProcedureFile())
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
	connectors, err := changerecord.Open(cfg.GetChangeConnectors())
	if err != nil {
		return err
	}
	sources, err := alerts.Open(cfg.GetAlertSources())
	if err != nil {
		return err
	}
	for _, rule := range doc.GetAlerts() {
		if sources[rule.GetSource()] == nil {
			slog.WarnContext(ctx, "no address is configured for a source of alerts of the procedure document: its rules hold every release", slog.String("source", rule.GetSource()))
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
	if err := begin(ctx, s, amend.Document{Procedure: doc, Bytes: data, Trusted: trusted}, cfg.GetActivateFirst()); err != nil {
		s.Conn.Close()
		return err
	}
	warnOfChannels(ctx, s, doc.GetId(), told)
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
	s.Step(gates.New(s.Procedures, s.Evidence, connectors, beside))
	s.Step(risk.New(s.Procedures, s.Store, risk.Watch{Sources: sources, Keeper: s.Evidence}))
	s.Step(authorize.New(s.Procedures))
	s.Step(notify.New(s.Procedures, told, notices, s.Evidence, s.Store, s.Now))
	s.Step(escalate.New(s.Procedures))
	s.Step(catalog.New(s.Procedures, s.Store))
	s.Step(intake.NewTeller(intake.NewBoard(s.JS)))
	s.Step(clock.Setter())
	watch(s, clock)
	s.Group.Add("freezes", newFreezes(s, doc.GetId()).run)
	s.Group.Add("unreviewed", newUnreviewed(s, doc.GetId()).run)
	s.Group.Add("unlooked", newUnlooked(s, doc.GetId()).run)
	changes := amendConfig(s, doc.GetId())
	changes.Channels, changes.Connectors = slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(connectors))
	if err := desk(ctx, s, cfg, clock, changes, whatif.World{Outside: gates.Outside{Connectors: connectors, Finder: beside}, Sources: sources}); err != nil {
		s.Conn.Close()
		return err
	}
	return s.Run(ctx)
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
			Body: m.Data, Sequence: m.Sequence, Delivery: m.Delivery,
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
func watch(s *station.Station, clock *deadline.Clock) {
	missed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shipwarden_timers_missed_total", Help: "Deadlines that were found past by the sweeper, because their timer did not fire.",
	})
	s.Registry.MustRegister(missed)
	s.Consume(eventstore.StreamTimers, string(procedure.StepClock), func(ctx context.Context, m reactor.Message) error {
		return clock.Fired(ctx, m.Subject)
	})
	s.Group.Add("sweeper", func(ctx context.Context) error {
		clock.Sweep(ctx, sweepEvery, sweepLate, func(ctx context.Context) ([]string, error) { return open(ctx, s.Store) }, missed.Inc)
		return nil
	})
}

// catalogs reads services, and which there are.
type catalogs interface {
	standing.Reader
	Catalogs(ctx context.Context) ([]string, error)
}

// open returns every release that is open, for which a review is owed, or of which an incident is
// open, by the record: also of services that the document in effect has no more.
// One that was closed long ago is among them where somebody has changed by hand what it left.
func open(ctx context.Context, r catalogs) ([]string, error) {
	names, err := r.Catalogs(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		environment, service, _ := strings.Cut(name, "--")
		s, err := standing.ReadService(ctx, r, environment, service)
		if err != nil {
			return nil, err
		}
		all = append(all, s.Open...)
		owing := slices.Clone(s.Incidents)
		for _, d := range s.Debts {
			owing = append(owing, d.GetRelease())
		}
		for _, id := range owing {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	return all, nil
}

// warnOfChannels logs which channels of the document in effect lead nowhere.
func warnOfChannels(ctx context.Context, s *station.Station, id string, told map[string]notify.Channel) {
	active, err := standing.ReadProcedure(ctx, s.Store, id)
	if err == nil {
		var index *policy.Index
		if index, err = s.Procedures.ByDigest(ctx, active.Digest); err == nil {
			for _, c := range index.Document().GetChannels() {
				if told[c.GetName()] == nil {
					slog.WarnContext(ctx, "no address is configured for a channel of the procedure document", slog.String("channel", c.GetName()))
				}
			}
			return
		}
	}
	slog.WarnContext(ctx, "the configured channels are not compared with the procedure document", slog.Any("error", err))
}

// desk is the gRPC service through which people decide.
func desk(ctx context.Context, s *station.Station, cfg *configv1.Approval, clock *deadline.Clock, changes amend.Config, world whatif.World) error {
	who, err := callers(cfg, s.Now)
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
	approvalv1.RegisterApprovalServiceServer(server.Server, authorize.NewServer(s.Store, s.Procedures, changes.ProcedureID, clock, s.Evidence, world, s.Now))
	approvalv1.RegisterProcedureServiceServer(server.Server, amend.NewServer(changes))
	slog.InfoContext(ctx, "serving decisions", slog.String("grpc", server.Addr()))
	s.Group.Add("grpc", server.Run)
	return nil
}

// callers knows who calls: by the tokens of the file, and by those of the provider.
func callers(cfg *configv1.Approval, now func() time.Time) (*identity.Authenticator, error) {
	provider, err := identity.NewProvider(cfg.GetOidc(), now)
	if err != nil {
		return nil, err
	}
	tokens := &configv1.Tokens{}
	if path := cfg.GetTokensFile(); path != "" {
		if err := service.LoadConfig(path, tokens); err != nil {
			return nil, fmt.Errorf("tokens_file: %w", err)
		}
	}
	who, err := identity.New(tokens)
	if err != nil {
		return nil, service.InField("tokens_file", err)
	}
	return who.WithProvider(provider), nil
}
