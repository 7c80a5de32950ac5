package alerts

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Open opens the configured sources of alerts. The error names every field at fault.
func Open(configured []*configv1.AlertSource) (map[string]Asked, error) {
	out := map[string]Asked{}
	var wrong []error
	for i, c := range configured {
		field := fmt.Sprintf("alert_sources[%d]", i)
		if out[c.GetName()] != nil {
			wrong = append(wrong, fmt.Errorf("%s.name: %s is there already", field, c.GetName()))
			continue
		}
		source, err := open(c)
		if err != nil {
			wrong = append(wrong, service.InField(field, err))
			continue
		}
		out[c.GetName()] = source
	}
	return out, errors.Join(wrong...)
}

func open(c *configv1.AlertSource) (*Source, error) {
	config := Config{Kind: c.GetKind(), URL: c.GetUrl(), Timeout: c.GetTimeout().AsDuration(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
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
	source, err := New(config)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return source, nil
}
