// Package validator is the service that looks at production and never touches it:
// step 2 looks at artifacts and targets before a release, step 6 at the targets
// after it.
package validator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/commandcheck"
	"github.com/blackdice/shipwarden/services/validator/check/dnscheck"
	"github.com/blackdice/shipwarden/services/validator/check/grpccheck"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/check/kubecheck"
	"github.com/blackdice/shipwarden/services/validator/check/logcheck"
	"github.com/blackdice/shipwarden/services/validator/check/promcheck"
	"github.com/blackdice/shipwarden/services/validator/check/tcpcheck"
	"github.com/blackdice/shipwarden/services/validator/check/tlscheck"
	"github.com/blackdice/shipwarden/services/validator/kube"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/resolve"
	"github.com/blackdice/shipwarden/services/validator/scope"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// Load reads the service's configuration file and checks everything in it that can
// be checked without reaching anybody; the error names every fault at once.
func Load(path string) (*configv1.Validator, error) {
	cfg := &configv1.Validator{}
	if err := service.LoadConfig(path, cfg); err != nil {
		return nil, err
	}
	made, places := targets(cfg)
	closeAll(made)
	_, resolver := resolve.New(resolve.Config{Folder: cfg.GetArtifactFolder(), Registries: cfg.GetRegistries()})
	_, sources := metrics.Open(cfg.GetMetricSources(), nil, nil)
	_, logs := metrics.OpenLogs(cfg.GetLogSources(), nil, nil)
	_, commands := commandcheck.Open(cfg.GetCommands())
	clusters, wrong := kube.Open(cfg.GetKubernetesClusters())
	if err := errors.Join(places, resolver, sources, logs, commands, wrong, inClusters(cfg, clusters)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// Run runs the service until the context ends. Options are for the connection to
// the bus, for instance one within the process.
func Run(ctx context.Context, cfg *configv1.Validator, options ...nats.Option) error {
	places, err := targets(cfg)
	if err != nil {
		return err
	}
	defer closeAll(places)
	resolver, err := resolve.New(resolve.Config{Folder: cfg.GetArtifactFolder(), Registries: cfg.GetRegistries()})
	if err != nil {
		return err
	}
	sources, err := metrics.Open(cfg.GetMetricSources(), nil, nil)
	if err != nil {
		return err
	}
	logs, err := metrics.OpenLogs(cfg.GetLogSources(), nil, nil)
	if err != nil {
		return err
	}
	commands, err := commandcheck.Open(cfg.GetCommands())
	if err != nil {
		return err
	}
	clusters, err := kube.Open(cfg.GetKubernetesClusters())
	if err != nil {
		return err
	}
	if err := inClusters(cfg, clusters); err != nil {
		return err
	}
	s, err := station.Open(ctx, procedure.ServiceValidator, cfg.GetCommon(), options...)
	if err != nil {
		return err
	}
	s.WarnOfTargets(ctx, station.Targets(cfg.GetTargets()))
	named, inLogs := slices.Sorted(maps.Keys(sources)), slices.Sorted(maps.Keys(logs))
	s.WarnOfMetrics(ctx, named, inLogs)
	s.WarnOfCommands(ctx, commands.Refuses)
	s.Step(scope.New(s.Procedures, resolver, s.Store, scope.Reach{
		Sources: named, Logs: inLogs, Refuses: commands.Refuses, Namespaces: namespaces(places), Silent: silent(places),
	}))
	bake := check.Bake{Probers: probers(sources, logs, commands, clusters)}
	s.Step(verify.New(s.Procedures, bake, places, s.Evidence, s.Store))
	s.Group.Add("later-looks", verify.NewLater(s.Procedures, bake, places, s.Evidence, s.Store, s.Registry, s.Now).Run)
	return s.Run(ctx)
}

// probers are the kinds of checks that this validator can make, each in a package of its
// own.
func probers(sources, logs map[string]*metrics.Source, commands commandcheck.Commands, clusters map[string]*kube.Cluster) map[string]check.Prober {
	inKubernetes := kubecheck.Prober{Clusters: clusters}
	return map[string]check.Prober{
		"command":    commandcheck.Prober{Commands: commands},
		"dns":        dnscheck.Prober{},
		"grpc":       grpccheck.Prober{},
		"http":       httpcheck.Prober{},
		"logs":       logcheck.Prober{Sources: logs},
		"prometheus": promcheck.Prober{Sources: sources},
		"tcp":        tcpcheck.Prober{},
		"tls":        tlscheck.Prober{},

		"kubernetes_rollout":  inKubernetes,
		"kubernetes_security": inKubernetes,
	}
}

// inClusters says which targets lie in clusters that are not configured.
func inClusters(cfg *configv1.Validator, clusters map[string]*kube.Cluster) error {
	var wrong []error
	for i, t := range cfg.GetTargets() {
		if k := t.GetKubernetes(); k != nil && clusters[k.GetCluster()] == nil {
			wrong = append(wrong, fmt.Errorf("targets[%d].kubernetes.cluster: %q is not among kubernetes_clusters", i, k.GetCluster()))
		}
	}
	return errors.Join(wrong...)
}

// namespaces are the targets that are namespaces of clusters.
func namespaces(places map[string]*target.Target) (all []string) {
	for id, t := range places {
		if cluster, _ := t.Kubernetes(); cluster != "" {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// silent are the targets that have no way of telling what they run.
func silent(places map[string]*target.Target) (all []string) {
	for id, t := range places {
		if !t.Tells() {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

func closeAll(places map[string]*target.Target) {
	for _, t := range places {
		t.Close()
	}
}

func targets(cfg *configv1.Validator) (map[string]*target.Target, error) {
	out := map[string]*target.Target{}
	var wrong []error
	for i, c := range cfg.GetTargets() {
		t, err := target.New(c, nil)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("targets[%d]: %w", i, err))
		case out[t.ID()] != nil:
			wrong = append(wrong, fmt.Errorf("targets[%d].target: %s is there already", i, t.ID()))
		default:
			out[t.ID()] = t
		}
	}
	return out, errors.Join(wrong...)
}
