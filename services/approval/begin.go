package approval

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
)

// waitForFirst is how often a service looks whether there is a document at last.
const waitForFirst = 2 * time.Second

// begin returns when a procedure document is in effect. The file of the configuration is
// that document only where none ever was, of whatever id, and where the configuration lets
// it be; a file of another id would take the place of the one in effect without anybody's
// approval, and so the service does not start with it. Once
// there is one, another file changes nothing: it is changed by a proposal that somebody
// else approves (PD-9.4). A file that differs is no reason not to start: releases are
// under way, and none of them depends on it.
func begin(ctx context.Context, s *station.Station, doc amend.Document, first bool) error {
	differs := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "shipwarden_procedure_file_differs",
		Help: "1 where the configured procedure document is not the one in effect, which goes on being in effect.",
	})
	s.Registry.MustRegister(differs)
	digest := policy.Digest(doc.Bytes)
	ticker := time.NewTicker(waitForFirst)
	defer ticker.Stop()
	for said := false; ; said = true {
		active, err := standing.ReadProcedure(ctx, s.Store, doc.Procedure.GetId())
		if err == nil && active.Digest == "" {
			err = another(ctx, s, doc.Procedure.GetId())
		}
		if err == nil && active.Digest == "" && first {
			active, _, err = amend.Activate(ctx, amendConfig(s, doc.Procedure.GetId()), doc, amend.Administrative{
				Reason: "the first document, by the configuration of the service", ClaimedBy: s.Process,
			})
		}
		log := slog.With(slog.String("version", active.Version), slog.String("digest", active.Digest))
		switch {
		case err != nil:
			return fmt.Errorf("find the procedure document in effect: %w", err)
		case active.Digest == digest:
			log.InfoContext(ctx, "procedure document in effect")
			return nil
		case active.Digest != "":
			differs.Set(1)
			log.WarnContext(ctx, "procedure_file is not the procedure document in effect, which stays in effect: propose it with `shipwarden procedure propose`",
				slog.String("file_version", doc.Procedure.GetVersion()), slog.String("file_digest", digest))
			return nil
		case !said:
			slog.WarnContext(ctx, "waiting, because no procedure document was ever in effect: activate the first one with `shipwarden admin activate`, or set activate_first",
				slog.String("procedure", doc.Procedure.GetId()))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// another refuses an id that has no document in effect where another one has.
func another(ctx context.Context, s *station.Station, id string) error {
	others, err := amend.Others(ctx, s.Store, id)
	if err != nil || len(others) == 0 {
		return err
	}
	return fmt.Errorf("procedure_file: id: %w: that of %s, and the file is one of %s, which takes its place only by `shipwarden admin activate --override`",
		amend.ErrInEffect, strings.Join(others, ", "), id)
}

func amendConfig(s *station.Station, id string) amend.Config {
	return amend.Config{Store: s.Store, Evidence: s.Evidence, Procedures: s.Procedures, ProcedureID: id, Now: s.Now}
}

// Activate is an administrator's way to put a document into effect: the first one, or with
// an override another one. It acts with the approval service's own key and rights on the
// bus, by its configuration, and needs no service that runs. Without a file it takes that
// of the configuration. It returns what is in effect afterwards, and whether that was
// changed; errors are those of amend.Activate.
func Activate(ctx context.Context, cfg *configv1.Approval, file string, how amend.Administrative, options ...nats.Option) (standing.Procedure, bool, error) {
	if file != "" {
		cfg = &configv1.Approval{Common: cfg.GetCommon(), ProcedureFile: file, SigstoreRootFile: cfg.GetSigstoreRootFile()}
	}
	doc, data, err := readDocument(cfg, func(data []byte, filename string) (*policyv1.Procedure, error) {
		return policy.ParseAt(data, filename, time.Now())
	})
	if err != nil {
		return standing.Procedure{}, false, err
	}
	trusted, err := trustedRoot(cfg, doc)
	if err != nil {
		return standing.Procedure{}, false, err
	}
	s, err := station.Visit(ctx, procedure.ServiceApproval, cfg.GetCommon(), options...)
	if err != nil {
		return standing.Procedure{}, false, err
	}
	defer s.Conn.Close()
	return amend.Activate(ctx, amendConfig(s, doc.GetId()), amend.Document{Procedure: doc, Bytes: data, Trusted: trusted}, how)
}

// LoadForAdministrator reads the service's configuration file without the documents that
// it names: they may be what is broken.
func LoadForAdministrator(path string) (*configv1.Approval, error) {
	cfg := &configv1.Approval{}
	return cfg, service.LoadConfig(path, cfg)
}
