package query

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/blackdice/shipwarden/internal/identity"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// ErrNoAccess says that there is no way to tell readers apart.
var ErrNoAccess = errors.New("nobody could read: configure tokens_file, oidc, or grpc.tls with ca_file")

// open are the services that tell nothing of the record.
var open = []string{"/grpc.health.v1.Health/", "/grpc.reflection."}

// Access decides who reads the record: whoever internal/identity recognizes, and of
// those whom an identity provider names, the members of certain groups of it. Every
// read is in the log, with who and what (D-8.5).
type Access struct {
	callers      *identity.Authenticator
	certificates bool
	groups       []string
}

// Provided is an identity provider, and the groups of it whose members read.
type Provided struct {
	Provider *identity.Provider
	Groups   []string
}

// NewAccess takes the tokens, which may be nil, whether the server demands client
// certificates, and a provider, the zero value for none. It fails with ErrNoAccess where
// nothing of it is there, and with identity.ErrToken where a token could not be used.
func NewAccess(tokens *configv1.Tokens, certificates bool, provided Provided) (*Access, error) {
	callers, err := identity.New(tokens)
	if err != nil {
		return nil, err
	}
	if len(tokens.GetTokens()) == 0 && !certificates && provided.Provider == nil {
		return nil, ErrNoAccess
	}
	return &Access{callers: callers.WithProvider(provided.Provider), certificates: certificates, groups: provided.Groups}, nil
}

// Unary checks and logs calls with one answer.
func (a *Access) Unary(ctx context.Context, q any, call *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := a.admit(ctx, call.FullMethod, q); err != nil {
		return nil, err
	}
	return next(ctx, q)
}

// Stream checks and logs calls with many answers. What is asked for comes after
// the call has begun, so it is logged when it is read.
func (a *Access) Stream(server any, stream grpc.ServerStream, call *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := a.admit(stream.Context(), call.FullMethod, nil); err != nil {
		return err
	}
	return next(server, &audited{ServerStream: stream, access: a, method: call.FullMethod})
}

type audited struct {
	grpc.ServerStream

	access *Access
	method string
}

// RecvMsg reads a question and logs it.
func (s *audited) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.access.admit(s.Context(), s.method, m)
}

func (a *Access) admit(ctx context.Context, method string, q any) error {
	for _, prefix := range open {
		if strings.HasPrefix(method, prefix) {
			return nil
		}
	}
	caller, err := a.identify(ctx)
	if err != nil {
		return err
	}
	if q != nil {
		// A certificate may carry several names: whoever reads the log knows one of them.
		attributes := []slog.Attr{
			slog.String("method", method), slog.String("reader", strings.Join(caller.Names, ", ")), slog.String("identity", caller.Method),
		}
		if r, ok := q.(interface{ GetRelease() string }); ok {
			attributes = append(attributes, slog.String("release", r.GetRelease()))
		}
		if l, ok := q.(*recorderv1.ListReleasesRequest); ok {
			attributes = append(attributes, slog.String("filter", l.GetFilter().String()))
		}
		slog.LogAttrs(ctx, slog.LevelInfo, "record read", attributes...)
	}
	return nil
}

// identify says who calls. Of several tokens in one call none is believed: what
// stands in front may have looked at another one.
func (a *Access) identify(ctx context.Context) (identity.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if len(md.Get("authorization")) > 1 {
		return identity.Caller{}, errUnauthenticated("authorization: more than one")
	}
	caller, err := a.callers.Authenticate(ctx)
	if err != nil || caller.Method == identity.MethodCertificate && !a.certificates {
		return identity.Caller{}, errUnauthenticated("no known bearer token or client certificate came with the call")
	}
	if caller.Provided && !slices.ContainsFunc(caller.Groups, func(g string) bool { return slices.Contains(a.groups, g) }) {
		slog.WarnContext(ctx, "record not read: in no group that reads", slog.String("caller", strings.Join(caller.Names, ", ")))
		return identity.Caller{}, refuse(codes.PermissionDenied, reasonNoReader, "the identity provider has you in no group whose members read the record")
	}
	return caller, nil
}
