package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/service"
)

const (
	natsTimeout   = 5 * time.Second
	natsRetryWait = 250 * time.Millisecond
)

// NATS returns a connection to the bus. Replies come where every NATS client has
// them, unless the settings name an inbox of the user's own. The connection survives
// a short loss of the server.
func NATS(ctx context.Context, s settings.Settings) (*nats.Conn, error) {
	if s.NATSURL == "" {
		return nil, exit.Withf(exit.Usage, "nats-url is not set: give --nats-url, or put it into a context file (shipwarden help settings)")
	}
	options := []nats.Option{
		nats.Name("shipwarden-cli"),
		nats.Timeout(natsTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(natsRetryWait),
		// Whoever lacks a permission is told by the failure of what needed it.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
		nats.SetCustomDialer(dialer{ctx}),
	}
	if s.NATSInboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(s.NATSInboxPrefix))
	}
	identity, err := natsIdentity(s)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	secure, err := natsTLS(s)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	conn, err := nats.Connect(s.NATSURL, append(append(options, identity...), secure...)...)
	if err != nil {
		return nil, exit.With(exit.Unreachable, fmt.Errorf("cannot reach the bus at %s: %w%s", redact(s.NATSURL), err, Hint(s)))
	}
	return conn, nil
}

// dialer ends with the command.
type dialer struct{ ctx context.Context }

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: natsTimeout}).DialContext(d.ctx, network, address)
}

func natsIdentity(s settings.Settings) ([]nats.Option, error) {
	switch {
	case s.NATSCreds != "":
		if _, err := service.ReadSecret(s.NATSCreds); err != nil {
			return nil, fmt.Errorf("nats-creds: %w", err)
		}
		return []nats.Option{nats.UserCredentials(s.NATSCreds)}, nil
	case s.NATSUser != "":
		if s.NATSPasswordFile == "" {
			return nil, fmt.Errorf("nats-user %s needs nats-password-file", s.NATSUser)
		}
		password, err := service.ReadSecret(s.NATSPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("nats-password-file: %w", err)
		}
		return []nats.Option{nats.UserInfo(s.NATSUser, password.Reveal())}, nil
	}
	return nil, nil
}

func natsTLS(s settings.Settings) ([]nats.Option, error) {
	if s.CAFile == "" && s.CertFile == "" {
		return nil, nil // a server that demands TLS, or tls://, uses the system's authorities
	}
	if !strings.HasPrefix(s.NATSURL, "tls://") {
		return nil, nil
	}
	conf, err := clientTLS(s)
	if err != nil {
		return nil, err
	}
	return []nats.Option{nats.Secure(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: conf.RootCAs, GetClientCertificate: conf.GetClientCertificate,
	})}, nil
}

// redact takes user and password out of addresses before they are printed.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, u := range parts {
		scheme, rest, ok := strings.Cut(u, "://")
		if at := strings.LastIndex(rest, "@"); ok && at >= 0 {
			parts[i] = scheme + "://" + rest[at+1:]
		}
	}
	return strings.Join(parts, ",")
}
