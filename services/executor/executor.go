// Package executor is the one service that changes production: it previews a
// change, executes it, takes it back, and lets the targets go. It decides nothing:
// whether it may is in the record, which it verifies itself.
package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver/configured"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/reconcile"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/executor/wake"
	"github.com/blackdice/shipwarden/services/executor/witness"
)

// Load reads the service's configuration file and checks everything in it that can
// be checked without reaching anybody; the error names every fault at once.
func Load(path string) (*configv1.Executor, error) {
	cfg := &configv1.Executor{}
	if err := service.LoadConfig(path, cfg); err != nil {
		return nil, err
	}
	made, drivers := configured.Drivers(cfg.GetTargets(), configured.Options{})
	configured.Close(made)
	_, fetcher := artifact.NewFetcher(cfg.GetArtifactFolder(), cfg.GetRegistries())
	_, records := changerecord.Open(cfg.GetChangeConnectors())
	_, sources := alerts.Open(cfg.GetAlertSources())
	_, signers := LoadSigners(cfg.GetSignersFile())
	_, roots := loadRoots(cfg)
	if err := errors.Join(drivers, fetcher, records, sources, signers, roots); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// Run runs the service until the context ends. Options are for the connection to
// the bus, for instance one within the process.
func Run(ctx context.Context, cfg *configv1.Executor, options ...nats.Option) error {
	drivers, err := configured.Drivers(cfg.GetTargets(), configured.Options{At: failpoint.At, NoopFolder: failpoint.Folder("noop")})
	if err != nil {
		return err
	}
	defer configured.Close(drivers)
	fetcher, err := artifact.NewFetcher(cfg.GetArtifactFolder(), cfg.GetRegistries())
	if err != nil {
		return err
	}
	defer fetcher.Close()
	connectors, err := changerecord.Open(cfg.GetChangeConnectors())
	if err != nil {
		return err
	}
	sources, err := alerts.Open(cfg.GetAlertSources())
	if err != nil {
		return err
	}
	signers, err := LoadSigners(cfg.GetSignersFile())
	if err != nil {
		return err
	}
	roots, err := loadRoots(cfg)
	if err != nil {
		return err
	}
	s, err := station.Open(ctx, procedure.ServiceExecutor, cfg.GetCommon(), options...)
	if err != nil {
		return err
	}
	s.WarnOfTargets(ctx, station.Targets(cfg.GetTargets()))
	s.WarnOfSources(ctx, slices.Collect(maps.Keys(sources)))
	s.WarnOfRoots(ctx, func(digest string) bool { return roots[digest] != nil })
	reach := &site.Site{
		Name: s.Process, Drivers: drivers, Fetcher: fetcher, Store: s.Store, Procedures: s.Procedures, Blobs: s.Evidence,
		Connectors: connectors, Sources: sources, Signers: signers, Roots: roots,
	}
	seen, err := witness.New(ctx, s.Store, cfg.GetStateFolder(), s.Conn, s.Registry, s.Now)
	if err != nil {
		s.Conn.Close()
		return err
	}
	reach.Seen = seen.Claim
	s.Health.Add("record", seen.Ready)
	s.Group.Add("witness", seen.Run(s.Conn))
	s.Group.Add("reconcile", reconcile.New(reach, s.Store, cfg.GetReconcileEvery().AsDuration(), s.Registry, s.Now).Run)
	for _, step := range []reactor.Step{
		preview.New(reach), execute.New(reach, s.Now), rollback.New(reach, s.Now), release.New(reach, s.Now), wake.New(reach, s.Now),
	} {
		s.Step(seen.Guard(step))
	}
	return s.Run(ctx)
}
