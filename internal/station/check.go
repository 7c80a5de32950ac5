package station

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/standing"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Check says what is wrong with what every service needs, as far as that can be known
// without reaching anybody. The error names every field at fault.
func Check(name string, cfg *configv1.Common) error {
	_, _, err := keys(name, cfg)
	return errors.Join(
		service.Below("common", err),
		service.Below("common.nats", service.CheckNATS(cfg.GetNats())),
		service.InField("common.http_listen", service.CheckListen(cfg.GetHttpListen())),
	)
}

// Reaching is the configuration of a service that reaches artifacts and targets.
type Reaching interface {
	GetCommon() *configv1.Common
	GetArtifactFolder() string
	GetRegistries() []*configv1.Registry
}

// CheckReaching is Check for such a service: it looks at the folder of artifacts and at the
// passwords of registries as well.
func CheckReaching(name string, cfg Reaching) error {
	return errors.Join(
		Check(name, cfg.GetCommon()),
		service.InField("artifact_folder", service.CheckFolder(cfg.GetArtifactFolder())),
		service.CheckRegistries(cfg.GetRegistries()),
	)
}

// Targets are the ids of configured targets, in their order.
func Targets[T interface{ GetTarget() string }](targets []T) []string {
	ids := make([]string, len(targets))
	for i, t := range targets {
		ids[i] = t.GetTarget()
	}
	return ids
}

// comparing bounds how long a start looks for the procedure documents in effect.
const comparing = 5 * time.Second

// WarnOfTargets logs which of the configured targets no procedure document in effect
// knows: releases to such a target are refused, and the name is most likely misspelled.
// Only the bus has the documents, so it is no reason not to start; where there are none
// yet, nothing is said.
func (s *Station) WarnOfTargets(ctx context.Context, ids []string) {
	ctx, cancel := context.WithTimeout(ctx, comparing)
	defer cancel()
	documents, err := s.documents(ctx)
	if err != nil {
		slog.WarnContext(ctx, "the configured targets are not compared with the procedure document", slog.Any("error", err))
	}
	for i, id := range ids {
		known := len(documents) == 0
		for _, d := range documents {
			known = known || d.Target(id) != nil
		}
		if !known {
			slog.WarnContext(ctx, "no procedure document in effect has the target",
				slog.String("field", fmt.Sprintf("targets[%d].target", i)), slog.String("target", id))
		}
	}
}

// WarnOfSources logs which sources of alerts of the procedure documents in effect this
// service is configured without: their rules hold every release that they concern.
func (s *Station) WarnOfSources(ctx context.Context, configured []string) {
	ctx, cancel := context.WithTimeout(ctx, comparing)
	defer cancel()
	documents, err := s.documents(ctx)
	if err != nil {
		slog.WarnContext(ctx, "the configured sources of alerts are not compared with the procedure document", slog.Any("error", err))
	}
	for _, source := range missing(documents, configured) {
		slog.WarnContext(ctx, "no address is configured for a source of alerts of the procedure document: its rules hold every release",
			slog.String("field", "alert_sources"), slog.String("source", source))
	}
}

// missing are the sources of alerts of documents that are not configured, each once.
func missing(documents []*policy.Index, configured []string) []string {
	var out []string
	for _, d := range documents {
		for _, rule := range d.Document().GetAlerts() {
			if source := rule.GetSource(); !slices.Contains(configured, source) && !slices.Contains(out, source) {
				out = append(out, source)
			}
		}
	}
	return out
}

// WarnOfMetrics logs which sources of metrics or of logs checks of the procedure documents in
// effect ask that this service is configured without: those checks come to no verdict.
func (s *Station) WarnOfMetrics(ctx context.Context, metrics, logs []string) {
	ctx, cancel := context.WithTimeout(ctx, comparing)
	defer cancel()
	documents, err := s.documents(ctx)
	if err != nil {
		slog.WarnContext(ctx, "the configured sources of metrics and of logs are not compared with the procedure document", slog.Any("error", err))
	}
	said := map[string]bool{}
	for _, d := range documents {
		for _, service := range d.Document().GetServices() {
			for _, c := range criterion.Unasked(service.GetChecks(), metrics, logs) {
				source, ofLogs := criterion.Source(c)
				kind, field := "metrics", "metric_sources"
				if ofLogs {
					kind, field = "logs", "log_sources"
				}
				if said[field+source] {
					continue
				}
				said[field+source] = true
				slog.WarnContext(ctx, "no address is configured for a source of the procedure document: checks that ask it come to no verdict",
					slog.String("of", kind), slog.String("field", field), slog.String("source", source), slog.String("service", service.GetName()), slog.String("check", c.GetName()))
			}
		}
	}
}

// WarnOfCommands logs which checks of the procedure documents in effect have a program run that this
// service refuses to run: those checks come to no verdict.
func (s *Station) WarnOfCommands(ctx context.Context, refuses func(*releasev1.CommandProbe) error) {
	ctx, cancel := context.WithTimeout(ctx, comparing)
	defer cancel()
	documents, err := s.documents(ctx)
	if err != nil {
		slog.WarnContext(ctx, "the configured commands are not compared with the procedure document", slog.Any("error", err))
	}
	for _, d := range documents {
		for _, service := range d.Document().GetServices() {
			for _, c := range service.GetChecks() {
				if c.GetCommand() == nil {
					continue
				}
				if err := refuses(c.GetCommand()); err != nil {
					slog.WarnContext(ctx, "a check of the procedure document has a program run that is not run here: it comes to no verdict",
						slog.String("field", "commands"), slog.String("command", c.GetCommand().GetCommand()),
						slog.String("service", service.GetName()), slog.String("check", c.GetName()), slog.Any("error", err))
				}
			}
		}
	}
}

func (s *Station) documents(ctx context.Context) ([]*policy.Index, error) {
	ids, err := s.Store.Procedures(ctx)
	if err != nil {
		return nil, err
	}
	var out []*policy.Index
	for _, id := range ids {
		active, err := standing.ReadProcedure(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		if active.Digest == "" {
			continue
		}
		index, err := s.Procedures.ByDigest(ctx, active.Digest)
		if err != nil {
			return nil, err
		}
		out = append(out, index)
	}
	return out, nil
}
