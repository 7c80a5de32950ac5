// Package identity says who calls a gRPC service: by a client certificate that the
// server verified, by a static token of which the service knows only the SHA-256, or
// by a token of an OpenID Connect provider (PD-A.4). Who the caller is, is a name; what that name may do is for the
// procedure document to say.
package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/blackdice/shipwarden/internal/refusal"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Ways in which a caller proved who they are, as they stand in events.
const (
	MethodCertificate = "mtls"
	MethodToken       = "token"
)

var (
	// ErrUnknown says that the caller is nobody that the service knows.
	ErrUnknown = errors.New("caller is unknown")
	// ErrToken says that a configured token would let in nobody, anybody, or the
	// wrong one.
	ErrToken = errors.New("token cannot be used")
)

// Caller is who calls.
type Caller struct {
	// Names are the names under which the caller may stand in the procedure
	// document, the most specific first.
	Names []string
	// Method is how the identity was proved.
	Method string
	// Provided says that an identity provider named the caller, and Groups are the groups
	// that it has them in.
	Provided bool
	Groups   []string
	// Reader says that the caller may read the record without being a person of
	// the procedure document.
	Reader bool
}

// Authenticator recognizes callers. It is safe for concurrent use.
type Authenticator struct {
	tokens   []known
	provider *Provider
}

// WithProvider makes it take tokens of a provider as well; nil for none.
func (a *Authenticator) WithProvider(p *Provider) *Authenticator {
	a.provider = p
	return a
}

type known struct {
	digest []byte
	caller Caller
}

// New returns an authenticator that knows these tokens; nil for none. An error wraps
// ErrToken.
func New(tokens *configv1.Tokens) (*Authenticator, error) {
	a := &Authenticator{}
	seen := map[string]bool{}
	nothing := sha256.Sum256(nil)
	for i, t := range tokens.GetTokens() {
		digest, err := hex.DecodeString(t.GetSha256())
		switch {
		case err != nil || len(digest) != sha256.Size:
			return nil, fmt.Errorf("tokens[%d].sha256: %w: it has not 64 hexadecimal digits", i, ErrToken)
		case subtle.ConstantTimeCompare(digest, nothing[:]) == 1:
			return nil, fmt.Errorf("tokens[%d].sha256: %w: it is that of an empty token", i, ErrToken)
		case seen[string(digest)]:
			return nil, fmt.Errorf("tokens[%d].sha256: %w: it is there already", i, ErrToken)
		}
		seen[string(digest)] = true
		a.tokens = append(a.tokens, known{digest, Caller{Names: []string{t.GetPerson()}, Method: MethodToken, Reader: t.GetReader()}})
	}
	return a, nil
}

// Authenticate says who makes the call. A token goes before a certificate, because
// a proxy may hold the certificate.
func (a *Authenticator) Authenticate(ctx context.Context) (Caller, error) {
	if token, ok := bearer(ctx); ok {
		sum := sha256.Sum256([]byte(token))
		for _, k := range a.tokens {
			if subtle.ConstantTimeCompare(sum[:], k.digest) == 1 {
				return k.caller, nil
			}
		}
		// A static token is no three parts with dots between them; what is gets one answer.
		if a.provider != nil && strings.Count(token, ".") == 2 {
			c, err := a.provider.Verify(ctx, token)
			if err != nil {
				slog.WarnContext(ctx, "a token of the identity provider is not taken", slog.Any("error", err))
			}
			return c, err
		}
		return Caller{}, ErrUnknown
	}
	if names := certificateNames(ctx); len(names) > 0 {
		return Caller{Names: names, Method: MethodCertificate}, nil
	}
	return Caller{}, ErrUnknown
}

func bearer(ctx context.Context) (string, bool) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md.Get("authorization") {
		if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
			return strings.TrimSpace(token), true
		}
	}
	return "", false
}

func certificateNames(ctx context.Context) []string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	// Only a chain that the server verified proves anything.
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return nil
	}
	leaf := info.State.VerifiedChains[0][0]
	var names []string
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	names = append(names, leaf.EmailAddresses...)
	if leaf.Subject.CommonName != "" {
		names = append(names, leaf.Subject.CommonName)
	}
	return names
}

type callerKey struct{}

// FromContext returns the caller that an interceptor put there.
func FromContext(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// NewContext returns a context with the caller.
func NewContext(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// open are the services that anybody may call: what a client needs to find its way.
func open(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.v1.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// unauthenticated says the same whatever was wrong: a caller who guesses learns
// nothing.
func unauthenticated(method string) error {
	return refusal.New(codes.Unauthenticated, refusal.Domain(method), refusal.ReasonUnauthenticated,
		"no known client certificate or bearer token came with the call")
}

// Unary refuses calls by unknown callers and puts the others into the context.
func (a *Authenticator) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if open(info.FullMethod) {
		return next(ctx, req)
	}
	c, err := a.Authenticate(ctx)
	if err != nil {
		return nil, unauthenticated(info.FullMethod)
	}
	return next(NewContext(ctx, c), req)
}

// Stream is Unary for streaming calls.
func (a *Authenticator) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if open(info.FullMethod) {
		return next(srv, stream)
	}
	c, err := a.Authenticate(stream.Context())
	if err != nil {
		return unauthenticated(info.FullMethod)
	}
	return next(srv, callerStream{stream, NewContext(stream.Context(), c)})
}

type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s callerStream) Context() context.Context { return s.ctx }
