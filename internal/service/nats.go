package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// The timing of the connection to the bus.
const (
	natsConnectTimeout = 5 * time.Second
	natsReconnectWait  = 250 * time.Millisecond
	natsReconnectSpan  = 750 * time.Millisecond // random, on top of the wait
	natsPingInterval   = 10 * time.Second
	natsPingsOut       = 3
	natsDrainTimeout   = 10 * time.Second
	// probeTimeout bounds one probe of WaitReady, probeWait the pause after it.
	probeTimeout = 2 * time.Second
	probeWait    = 100 * time.Millisecond
)

var (
	// ErrIdentities means that more than one way to log in to NATS is configured.
	ErrIdentities = errors.New("configure one of user, nkey_seed_file and credentials_file")
	// ErrNoConnection means that the bus is not reached at the moment.
	ErrNoConnection = errors.New("not connected to nats")
)

// InboxPrefix is the first part of the subjects on which a service of that name
// receives its replies. Each service has its own: with a shared one, anybody who
// may receive replies could read those of others.
func InboxPrefix(name string) string { return "_INBOX_" + name }

// ConnectNATS connects to the bus as the configuration says and keeps the
// connection for ever: it returns at once although no server answers yet, and
// survives every loss and every refusal. Passwords, seeds and credentials are
// read again at each attempt, so they can be changed under a running service.
// options come after those of this function.
func ConnectNATS(ctx context.Context, name string, cfg *configv1.Nats, options ...nats.Option) (*nats.Conn, error) {
	ctx = context.WithoutCancel(ctx)
	all := []nats.Option{
		nats.Name("shipwarden-" + name),
		nats.CustomInboxPrefix(InboxPrefix(name)),
		nats.Timeout(natsConnectTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(natsReconnectWait),
		nats.ReconnectJitter(natsReconnectSpan, natsReconnectSpan),
		nats.PingInterval(natsPingInterval),
		nats.MaxPingsOutstanding(natsPingsOut),
		nats.DrainTimeout(natsDrainTimeout),
	}
	all = append(all, natsLogging(ctx)...)
	if err := checkURLs(cfg); err != nil {
		return nil, fmt.Errorf("configure nats: %w", err)
	}
	identity, err := natsIdentity(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("configure nats: %w", err)
	}
	secure, err := natsTLS(ctx, cfg.GetTls())
	if err != nil {
		return nil, fmt.Errorf("configure nats: %w", err)
	}
	all = append(append(append(all, identity...), secure...), options...)
	conn, err := nats.Connect(strings.Join(cfg.GetUrls(), ","), all...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return conn, nil
}

// natsLogging tells of every change of the connection.
func natsLogging(ctx context.Context) []nats.Option {
	var last string // the callbacks of a connection run one at a time
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			// One line per reason: the attempts go on several times a second.
			if err != nil && err.Error() != last {
				last = err.Error()
				slog.WarnContext(ctx, "nats not reached, trying on", slog.Any("error", err))
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				slog.WarnContext(ctx, "nats connection lost", slog.Any("error", err))
			}
		}),
		nats.ConnectHandler(func(c *nats.Conn) {
			slog.InfoContext(ctx, "nats connected", slog.String("server", c.ConnectedServerName()))
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			slog.InfoContext(ctx, "nats connected again", slog.String("server", c.ConnectedServerName()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			slog.WarnContext(ctx, "nats reports an error", slog.Any("error", err))
		}),
	}
}

// natsIdentity returns the options that log in, none for an open server.
func natsIdentity(ctx context.Context, cfg *configv1.Nats) ([]nats.Option, error) {
	var out []nats.Option
	if cfg.GetUser() != "" {
		if _, err := ReadSecret(cfg.GetPasswordFile()); err != nil {
			return nil, fmt.Errorf("password_file: %w", err)
		}
		out = append(out, nats.UserInfoHandler(func() (string, string) {
			password, err := ReadSecret(cfg.GetPasswordFile())
			if err != nil {
				slog.WarnContext(ctx, "nats password not read", slog.Any("error", err))
			}
			return cfg.GetUser(), password.Reveal()
		}))
	}
	if path := cfg.GetNkeySeedFile(); path != "" {
		if _, err := ReadSecret(path); err != nil {
			return nil, fmt.Errorf("nkey_seed_file: %w", err)
		}
		option, err := nats.NkeyOptionFromSeed(path)
		if err != nil {
			return nil, fmt.Errorf("read nkey seed %s: %w", path, err)
		}
		out = append(out, option)
	}
	if path := cfg.GetCredentialsFile(); path != "" {
		if _, err := ReadSecret(path); err != nil {
			return nil, fmt.Errorf("credentials_file: %w", err)
		}
		out = append(out, nats.UserCredentials(path))
	}
	if len(out) > 1 {
		return nil, ErrIdentities
	}
	return out, nil
}

// natsTLS returns the options for TLS, with certificate and CA as their files
// are at each attempt to connect.
func natsTLS(ctx context.Context, cfg *configv1.Tls) ([]nats.Option, error) {
	if cfg == nil {
		return nil, nil
	}
	c, err := newCredentials(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure TLS: %w", err)
	}
	out := []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS13})}
	var certificate nats.TLSCertHandler
	if c.loaded.certificate != nil {
		certificate = func() (tls.Certificate, error) { return *c.current(ctx).certificate, nil }
	}
	var roots nats.RootCAsHandler
	if c.loaded.roots != nil {
		roots = func() (*x509.CertPool, error) { return c.current(ctx).roots, nil }
	}
	if certificate != nil || roots != nil {
		out = append(out, nats.ClientTLSConfig(certificate, roots))
	}
	return out, nil
}

// NATSCheck is the readiness check of a connection.
func NATSCheck(conn *nats.Conn) func(context.Context) error {
	return func(context.Context) error {
		if status := conn.Status(); status != nats.CONNECTED {
			return fmt.Errorf("%w: %s", ErrNoConnection, strings.ToLower(status.String()))
		}
		return nil
	}
}

// HoldNATS is the part of a Group that keeps the connection: when its context
// ends it drains, so that what was received is worked off and what was
// published is sent, and closes.
func HoldNATS(conn *nats.Conn) func(context.Context) error {
	return func(ctx context.Context) error {
		closed := conn.StatusChanged(nats.CLOSED)
		<-ctx.Done()
		if conn.Status() != nats.CONNECTED {
			conn.Close() // nobody is there to drain to
			return nil
		}
		if err := conn.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			conn.Close()
			return fmt.Errorf("drain nats: %w", err)
		}
		if !conn.IsClosed() {
			<-closed
		}
		return nil
	}
}

// WaitReady repeats the probe until it succeeds. A bus that has just started, a
// cluster above all, answers connections before it answers JetStream requests.
// It returns an error that wraps ErrNotReady, that of ctx and the last probe's when ctx
// ends.
func WaitReady(ctx context.Context, probe func(context.Context) error) error {
	told := false
	for {
		attempt, cancel := context.WithTimeout(ctx, probeTimeout)
		err := probe(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if !told && ctx.Err() == nil {
			told = true
			slog.InfoContext(ctx, "waiting until jetstream answers", slog.Any("error", err))
		}
		pause := time.NewTimer(probeWait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("wait until jetstream answers: %w: %w: %w", ErrNotReady, ctx.Err(), err)
		case <-pause.C:
		}
	}
}

// ProbeJetStream is a probe for identities that may ask for the account's info.
func ProbeJetStream(js jetstream.JetStream) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx)
		return err
	}
}

// ProbeConsumer is a probe for identities that may ask for one consumer's info.
func ProbeConsumer(js jetstream.JetStream, stream, consumer string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := js.Consumer(ctx, stream, consumer)
		return err
	}
}
