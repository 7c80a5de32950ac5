package query

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// ErrNoAccess says that there is no way to tell readers apart.
var ErrNoAccess = errors.New("nobody could read: configure tokens_file, or grpc.tls with ca_file")

// open are the services that tell nothing of the record.
var open = []string{"/grpc.health.v1.Health/", "/grpc.reflection."}

// Access decides who reads the record: whoever shows a known token, or a client
// certificate that the server has verified. Every read is in the log, with who and
// what (D-8.5).
type Access struct {
	people       map[string]string // by the token's SHA-256 in hexadecimal
	certificates bool
}

// NewAccess takes the tokens, which may be nil, and whether the server demands
// client certificates. It fails with ErrNoAccess where neither is there.
func NewAccess(tokens *configv1.Tokens, certificates bool) (*Access, error) {
	a := &Access{people: map[string]string{}, certificates: certificates}
	for i, t := range tokens.GetTokens() {
		if _, twice := a.people[t.GetSha256()]; twice {
			return nil, fmt.Errorf("tokens[%d].sha256 is there twice", i)
		}
		a.people[t.GetSha256()] = t.GetPerson()
	}
	if len(a.people) == 0 && !certificates {
		return nil, ErrNoAccess
	}
	return a, nil
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
	who, by, err := a.identify(ctx)
	if err != nil {
		return err
	}
	if q != nil {
		attributes := []slog.Attr{slog.String("method", method), slog.String("reader", who), slog.String("identity", by)}
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

// identify says who calls, and how that was proved.
func (a *Access) identify(ctx context.Context) (who, by string, err error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	switch {
	case len(values) > 1:
		return "", "", errUnauthenticated("authorization: more than one")
	case len(values) == 1:
		text, ok := strings.CutPrefix(values[0], "Bearer ")
		if !ok {
			return "", "", errUnauthenticated("authorization: a bearer token is needed")
		}
		// Looked up by its digest: what the time tells is about the digest alone.
		sum := sha256.Sum256([]byte(text))
		if person, known := a.people[hex.EncodeToString(sum[:])]; known {
			return person, "token", nil
		}
		return "", "", errUnauthenticated("authorization: the token is unknown")
	}
	if p, ok := peer.FromContext(ctx); ok && a.certificates {
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(t.State.VerifiedChains) > 0 {
			return t.State.VerifiedChains[0][0].Subject.CommonName, "mtls", nil
		}
	}
	return "", "", errUnauthenticated("authorization: a bearer token is needed")
}
