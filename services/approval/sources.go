package approval

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/alerts"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// alertSources opens the configured sources of alerts. The error names every field at
// fault.
func alertSources(cfg *configv1.Approval) (map[string]risk.Alerts, error) {
	out := map[string]risk.Alerts{}
	var wrong []error
	for i, c := range cfg.GetAlertSources() {
		field := fmt.Sprintf("alert_sources[%d]", i)
		if out[c.GetName()] != nil {
			wrong = append(wrong, fmt.Errorf("%s.name: %s is there already", field, c.GetName()))
			continue
		}
		source, err := alertSource(c)
		if err != nil {
			wrong = append(wrong, service.InField(field, err))
			continue
		}
		out[c.GetName()] = source
	}
	return out, errors.Join(wrong...)
}

func alertSource(c *configv1.AlertSource) (*alerts.Source, error) {
	config := alerts.Config{Kind: c.GetKind(), URL: c.GetUrl(), Timeout: c.GetTimeout().AsDuration(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	if c.GetTokenFile() != "" {
		if !strings.HasPrefix(c.GetUrl(), "https://") {
			return nil, errors.New("token_file: a token is not sent over plain HTTP")
		}
		token, err := service.ReadSecret(c.GetTokenFile())
		if err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
		config.Token = token.Reveal()
	}
	if c.GetTls() != nil {
		secure, err := service.ClientTLS(c.GetTls())
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		config.TLS = secure
	}
	source, err := alerts.New(config)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return source, nil
}
