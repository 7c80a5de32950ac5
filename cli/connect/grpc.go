// Package connect opens the connections of the command: to the services by gRPC,
// to the bus by NATS. Unlike the services it does not try for ever: a person or a
// pipeline waits for the answer.
package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// maxReply is the largest answer in bytes that is taken. A record with its events
// can be longer than the library's default of 4 MiB.
const maxReply = 64 << 20

// Bearer gives the token of a caller who has logged in.
type Bearer interface {
	Token(ctx context.Context) (string, error)
}

// GRPC returns a connection to the service at the address, which the setting of that
// name gave. Nothing is sent yet: the first call tells whether anybody is there. The
// bearer counts where no token-file is set; nil for none.
func GRPC(s settings.Settings, name, address string, bearer Bearer) (*grpc.ClientConn, error) {
	if address == "" {
		return nil, exit.Withf(exit.Usage, "%s is not set: give --%s, or put it into a context file (shipwarden help settings)", name, name)
	}
	host, secure, err := parse(name, address, s)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	options := append(plainly(s), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)))
	if secure {
		conf, err := clientTLS(s)
		if err != nil {
			return nil, exit.With(exit.Usage, err)
		}
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	} else {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if s.TokenFile != "" || bearer != nil {
		if !secure && !settings.Loopback(host) {
			return nil, exit.Withf(exit.Usage, "%s %s: a token is sent over TLS only, or to this machine: write https://, or set ca-file", name, address)
		}
		if s.TokenFile != "" {
			secret, err := service.ReadSecret(s.TokenFile)
			if err != nil {
				return nil, exit.With(exit.Usage, fmt.Errorf("token-file: %w", err))
			}
			bearer = fixed{secret}
		}
		options = append(options, grpc.WithPerRPCCredentials(token{bearer: bearer, secure: secure}))
	}
	conn, err := grpc.NewClient(host, options...)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("%s %s: %w", name, address, err))
	}
	return conn, nil
}

// parse returns host:port, and whether TLS is spoken there.
func parse(name, address string, s settings.Settings) (string, bool, error) {
	secure := s.CAFile != "" || s.CertFile != ""
	scheme, rest, given := strings.Cut(address, "://")
	if !given {
		rest = address
	}
	switch {
	case given && scheme == "https":
		secure = true
	case given && scheme == "http":
		secure = false
	case given:
		return "", false, fmt.Errorf("%s %s: the scheme must be http or https", name, address)
	}
	rest = strings.TrimSuffix(rest, "/")
	if !strings.Contains(rest, ":") || strings.Contains(rest, "/") {
		return "", false, fmt.Errorf("%s %s: expected host:port", name, address)
	}
	return rest, secure, nil
}

// clientTLS trusts the system's authorities where no CA file is set.
func clientTLS(s settings.Settings) (*tls.Config, error) {
	conf, err := service.ClientTLS(&configv1.Tls{CaFile: s.CAFile, CertificateFile: s.CertFile, KeyFile: s.KeyFile})
	if err != nil {
		return nil, fmt.Errorf("ca-file, cert-file, key-file: %w", err)
	}
	return conf, nil
}

// fixed is a token that lies in a file.
type fixed struct{ secret service.Secret }

// Token implements Bearer.
func (f fixed) Token(context.Context) (string, error) { return f.secret.Reveal(), nil }

// token sends the caller's token with each call.
type token struct {
	bearer Bearer
	secure bool
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t token) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	text, err := t.bearer.Token(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return map[string]string{"authorization": "Bearer " + text}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (t token) RequireTransportSecurity() bool { return t.secure }
