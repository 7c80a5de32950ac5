package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// ErrRefused means that a server was reached and would not agree on TLS: it sent an alert,
// or closed the connection. It comes with ErrNoAnswer.
var ErrRefused = errors.New("the server does not agree on TLS")

// readMore reads where the target is looked at otherwise than by HTTP and TCP.
func (t *Target) readMore(c *configv1.TargetAddress, fault func(string, error)) {
	for field, place := range map[string]struct {
		text string
		to   *dial.Address
	}{
		"grpc_address": {c.GetGrpcAddress(), &t.grpc},
		"tls_address":  {c.GetTlsAddress(), &t.tls},
		"dns_server":   {c.GetDnsServer(), &t.dns},
	} {
		if place.text == "" {
			continue
		}
		address, err := dial.ParseAddress(place.text)
		if err != nil {
			fault(field, err)
		}
		*place.to = address
	}
	if t.plaintext = c.GetGrpcPlaintext(); t.plaintext && c.GetGrpcAddress() == "" {
		fault("grpc_plaintext", errors.New("needs a grpc_address"))
	}
	t.zones = c.GetDnsZones()
	t.cluster, t.namespace = c.GetKubernetes().GetCluster(), c.GetKubernetes().GetNamespace()
	if (c.GetDnsServer() == "") != (len(t.zones) == 0) {
		fault("dns_server", errors.New("goes with dns_zones"))
	}
	secure, err := service.ClientTLS(c.GetTls())
	if err != nil {
		fault("tls", err)
	}
	if secure != nil {
		// Which versions a target must speak is for its checks to say.
		secure.MinVersion = tls.VersionTLS12
		t.secure = secure
	}
}

// GRPCAddress returns the configured address of the gRPC checks as host:port, or "".
func (t *Target) GRPCAddress() string { return text(t.grpc) }

// TLSAddress returns the configured address of the TLS checks as host:port, or "".
func (t *Target) TLSAddress() string { return text(t.tls) }

// DNSServer returns the configured address of the DNS server as host:port, or "".
func (t *Target) DNSServer() string { return text(t.dns) }

func text(a dial.Address) string {
	if a == (dial.Address{}) {
		return ""
	}
	return a.String()
}

// DialGRPC opens a connection to the configured address of the gRPC checks, on which HTTP/2
// can be spoken at once: with TLS, unless the configuration says otherwise. The errors are
// ErrNoAnswer and ErrNotSeen.
func (t *Target) DialGRPC(ctx context.Context) (net.Conn, error) {
	conn, err := t.connect(ctx, t.grpc, "grpc_address")
	if err != nil || t.plaintext {
		return conn, err
	}
	secured, err := t.handshake(ctx, conn, t.grpc, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	if secured.ConnectionState().NegotiatedProtocol != "h2" {
		_ = secured.Close()
		return nil, fmt.Errorf("%w: the server does not speak HTTP/2", ErrNoAnswer)
	}
	return secured, nil
}

// Asked is what a TLS handshake offers, and whose certificate it demands.
type Asked struct {
	// Name is whose certificate it must be. Empty means the host of the address.
	Name string
	// MinVersion and MaxVersion are those of crypto/tls; MaxVersion may be 0 for the newest.
	MinVersion, MaxVersion uint16
	// CipherSuites are those for TLS 1.2 and older; nil for those that are usual.
	CipherSuites []uint16
	// Now is the time at which certificates must be valid.
	Now time.Time
}

// Handshake agrees with the configured address of the TLS checks on TLS and closes the
// connection. A certificate that is not trusted is ErrNoAnswer, and so is ErrRefused. The
// errors are ErrNoAnswer and ErrNotSeen.
func (t *Target) Handshake(ctx context.Context, asked Asked) (tls.ConnectionState, error) {
	conn, err := t.connect(ctx, t.tls, "tls_address")
	if err != nil {
		return tls.ConnectionState{}, err
	}
	secured, err := t.handshake(ctx, conn, t.tls, &tls.Config{
		ServerName: asked.Name, MinVersion: asked.MinVersion, MaxVersion: asked.MaxVersion,
		CipherSuites: asked.CipherSuites, Time: func() time.Time { return asked.Now },
	})
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = secured.Close() }()
	return secured.ConnectionState(), nil
}

// handshake takes the connection over, and closes it where it fails.
func (t *Target) handshake(ctx context.Context, conn net.Conn, to dial.Address, asked *tls.Config) (*tls.Conn, error) {
	if t.secure != nil {
		asked.RootCAs, asked.GetClientCertificate = t.secure.RootCAs, t.secure.GetClientCertificate
	}
	if asked.ServerName == "" {
		asked.ServerName = to.Host()
	}
	secured := tls.Client(conn, asked)
	err := secured.HandshakeContext(ctx)
	if err == nil {
		return secured, nil
	}
	_ = conn.Close()
	explained := explain(ctx, err)
	var remote *net.OpError
	switch {
	case !errors.Is(explained, ErrNoAnswer) || ctx.Err() != nil:
	case errors.As(err, &remote) && remote.Op == "remote error",
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return nil, fmt.Errorf("%w: %w", ErrRefused, explained)
	}
	return nil, explained
}

// DialDNS opens a connection to the configured DNS server, to ask for a name that lies
// within the configured zones. The errors are ErrNoAnswer and ErrNotSeen.
func (t *Target) DialDNS(ctx context.Context, name string) (net.Conn, error) {
	if !slices.ContainsFunc(t.zones, func(zone string) bool { return name == zone || strings.HasSuffix(name, "."+zone) }) {
		return nil, fmt.Errorf("%w: %.64q lies in none of the dns_zones of %q", ErrNotSeen, name, t.id)
	}
	return t.connect(ctx, t.dns, "dns_server")
}
