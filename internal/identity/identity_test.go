package identity_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/identity"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func token(text, person string) *configv1.Token {
	sum := sha256.Sum256([]byte(text))
	return &configv1.Token{Sha256: hex.EncodeToString(sum[:]), Person: person}
}

func authenticator(t *testing.T) *identity.Authenticator {
	t.Helper()
	reader := token("r3ad", "auditor")
	reader.Reader = true
	a, err := identity.New(&configv1.Tokens{Tokens: []*configv1.Token{token("s3cret", "anna"), reader}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func with(headers ...string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs(headers...))
}

// verified is a call over TLS with that certificate, which the server verified or not.
func verified(ctx context.Context, leaf *x509.Certificate, ok bool) context.Context {
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if ok {
		state.VerifiedChains = [][]*x509.Certificate{{leaf}}
	}
	return peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

func TestWhoCalls(t *testing.T) {
	uri, err := url.Parse("spiffe://shop.example/ben")
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{URIs: []*url.URL{uri}, EmailAddresses: []string{"ben@shop.example"}, Subject: pkix.Name{CommonName: "ben"}}
	names := []string{"spiffe://shop.example/ben", "ben@shop.example", "ben"}
	plain := context.Background()
	for _, c := range []struct {
		name string
		ctx  context.Context
		want *identity.Caller
	}{
		{"token", with("authorization", "Bearer s3cret"), &identity.Caller{Names: []string{"anna"}, Method: "token"}},
		{"token of a reader", with("authorization", "bearer  r3ad "), &identity.Caller{Names: []string{"auditor"}, Method: "token", Reader: true}},
		{"certificate", verified(plain, leaf, true), &identity.Caller{Names: names, Method: "mtls"}},
		{"token on another's certificate", verified(with("authorization", "Bearer s3cret"), leaf, true), &identity.Caller{Names: []string{"anna"}, Method: "token"}},
		{"password on a certificate", verified(with("authorization", "Basic YTpi"), leaf, true), &identity.Caller{Names: names, Method: "mtls"}},
		{"wrong token", with("authorization", "Bearer guess"), nil},
		{"wrong token on a good certificate", verified(with("authorization", "Bearer guess"), leaf, true), nil},
		{"empty token", with("authorization", "Bearer "), nil},
		{"digest in place of the token", with("authorization", "Bearer "+token("s3cret", "").GetSha256()), nil},
		{"certificate that was not verified", verified(plain, leaf, false), nil},
		{"certificate without a name", verified(plain, &x509.Certificate{}, true), nil},
		{"nothing", plain, nil},
	} {
		got, err := authenticator(t).Authenticate(c.ctx)
		if c.want == nil {
			if !errors.Is(err, identity.ErrUnknown) {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(*c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}

func TestTokensThatWouldLetInTheWrongOneAreRefused(t *testing.T) {
	for name, tokens := range map[string][]*configv1.Token{
		"of nothing":   {token("", "anna")},
		"of two":       {token("a", "anna"), token("a", "ben")},
		"no digest":    {{Sha256: "s3cret", Person: "anna"}},
		"short digest": {{Sha256: "abcd", Person: "anna"}},
	} {
		if _, err := identity.New(&configv1.Tokens{Tokens: tokens}); !errors.Is(err, identity.ErrToken) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := identity.New(nil); err != nil {
		t.Errorf("none at all: %v", err)
	}
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

func TestInterceptors(t *testing.T) {
	a := authenticator(t)
	for _, c := range []struct {
		method string
		ctx    context.Context
		person string
		code   codes.Code
	}{
		{"/shipwarden.approval.v1.ApprovalService/Approve", with("authorization", "Bearer s3cret"), "anna", codes.OK},
		{"/shipwarden.approval.v1.ApprovalService/Approve", with(), "", codes.Unauthenticated},
		{"/grpc.health.v1.Health/Check", with(), "", codes.OK},
		{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", with(), "", codes.OK},
		{"/grpc.healthy/Approve", with(), "", codes.Unauthenticated},
	} {
		check := func(kind string, ctx context.Context, err error) {
			t.Helper()
			if status.Code(err) != c.code {
				t.Errorf("%s %s: %v", kind, c.method, err)
			}
			if ctx == nil {
				return
			}
			caller, ok := identity.FromContext(ctx)
			if ok != (c.person != "") || (ok && caller.Names[0] != c.person) {
				t.Errorf("%s %s: called by %+v", kind, c.method, caller)
			}
		}
		var seen context.Context
		_, err := a.Unary(c.ctx, nil, &grpc.UnaryServerInfo{FullMethod: c.method}, func(ctx context.Context, _ any) (any, error) {
			seen = ctx      //nolint:fatcontext // It is looked at, and not passed on.
			return nil, nil //nolint:nilnil // There is nothing to answer.
		})
		check("unary", seen, err)
		seen = nil
		err = a.Stream(nil, stream{ctx: c.ctx}, &grpc.StreamServerInfo{FullMethod: c.method}, func(_ any, s grpc.ServerStream) error {
			seen = s.Context() //nolint:fatcontext // It is looked at, and not passed on.
			return nil
		})
		check("stream", seen, err)
	}
}
