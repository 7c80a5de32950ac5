package approval

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

// Check says what is wrong with a configuration that can be known without reaching
// anybody: files that are named, keys, addresses, and channels that the procedure
// document does not have. The error names every field at fault.
func Check(cfg *configv1.Approval) error {
	doc, _, document := document(cfg)
	_, told := channels(cfg)
	_, records := changerecord.Open(cfg.GetChangeConnectors())
	_, sources := alerts.Open(cfg.GetAlertSources())
	_, tokens := callers(cfg, time.Now)
	_, secure := service.ServerTLS(cfg.GetGrpc().GetTls())
	return errors.Join(
		station.Check(procedure.ServiceApproval, cfg.GetCommon()),
		service.InField("grpc.listen", service.CheckListen(cfg.GetGrpc().GetListen())),
		service.InField("grpc.tls", secure),
		document, told, records, sources, tokens, unknown(cfg, doc), unconnected(cfg, doc), registries(cfg, doc),
	)
}

// registries checks the servers that are asked for statements beside images, and that
// there is one where the document says that they are.
func registries(cfg *configv1.Approval, doc *policyv1.Procedure) error {
	if _, err := referrers.New(cfg.GetRegistries()); err != nil {
		return err
	}
	if doc.GetReferrers() && len(cfg.GetRegistries()) == 0 {
		return errNoRegistry
	}
	return nil
}

var errNoRegistry = errors.New("registries: required, because the procedure document takes statements from registries (referrers)")

// unknown names addresses of channels that the document does not have: nobody would
// ever be told there, and whoever wrote the name down means another one.
func unknown(cfg *configv1.Approval, doc *policyv1.Procedure) error {
	if doc == nil {
		return nil // Something worse is said of it.
	}
	var wrong []error
	for i, c := range cfg.GetChannels() {
		if !slices.ContainsFunc(doc.GetChannels(), func(known *policyv1.Channel) bool { return known.GetName() == c.GetChannel() }) {
			wrong = append(wrong, fmt.Errorf("channels[%d].channel: %w: %s", i, errUnknownChannel, c.GetChannel()))
		}
	}
	return errors.Join(wrong...)
}

// unconnected names rules about change records whose connector is not configured: releases
// would wait for an answer that nobody can give.
func unconnected(cfg *configv1.Approval, doc *policyv1.Procedure) error {
	var wrong []error
	for _, rule := range doc.GetChangeRecords() {
		if !slices.ContainsFunc(cfg.GetChangeConnectors(), func(c *configv1.ChangeConnector) bool { return c.GetName() == rule.GetConnector() }) {
			wrong = append(wrong, fmt.Errorf("change_connectors: %w: %s, for %s", errNoConnector, rule.GetConnector(), rule.GetName()))
		}
	}
	return errors.Join(wrong...)
}

var errNoConnector = errors.New("the procedure document needs a connector that is not there")

var errUnknownChannel = errors.New("the procedure document has no such channel")
