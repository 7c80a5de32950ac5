package query_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/identity"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/query"
)

// tokens are the configured tokens of these texts.
func tokens(texts ...string) *configv1.Tokens {
	out := &configv1.Tokens{}
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		out.Tokens = append(out.Tokens, &configv1.Token{Sha256: hex.EncodeToString(sum[:]), Person: "audra", Reader: true})
	}
	return out
}

// ask makes a call through the access and returns what the log says of it.
func ask(ctx context.Context, t *testing.T, access *query.Access) (log string, err error) {
	t.Helper()
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer slog.SetDefault(before)
	call := &grpc.UnaryServerInfo{FullMethod: recorderv1.RecorderService_GetRelease_FullMethodName}
	_, err = access.Unary(ctx, &recorderv1.GetReleaseRequest{Release: "shop-a"}, call, func(context.Context, any) (any, error) { return 1, nil })
	return text.String(), err
}

func TestTokensThatCannotBeUsedAreRefusedAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		tokens       *configv1.Tokens
		certificates bool
		want         error
	}{
		"no tokens and no certificates": {nil, false, query.ErrNoAccess},
		"a file without tokens":         {&configv1.Tokens{}, false, query.ErrNoAccess},
		"an empty token":                {tokens("a", ""), true, identity.ErrToken},
		"a token that is there twice":   {tokens("a", "b", "a"), true, identity.ErrToken},
		"certificates alone":            {nil, true, nil},
		"tokens alone":                  {tokens("a", "b"), false, nil},
	} {
		if _, err := query.NewAccess(c.tokens, c.certificates, query.Provided{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestACertificateIsKnownByAnyOfItsNames(t *testing.T) {
	uri, err := url.Parse("spiffe://shop.example/audra")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		leaf         x509.Certificate
		certificates bool
		want         string
	}{
		{"a common name", x509.Certificate{Subject: pkix.Name{CommonName: "audra"}}, true, "reader=audra"},
		{"a URI alone", x509.Certificate{URIs: []*url.URL{uri}}, true, "reader=spiffe://shop.example/audra"},
		{"an address alone", x509.Certificate{EmailAddresses: []string{"audra@shop.example"}}, true, "reader=audra@shop.example"},
		{
			"several",
			x509.Certificate{URIs: []*url.URL{uri}, Subject: pkix.Name{CommonName: "audra"}},
			true,
			`reader="spiffe://shop.example/audra, audra"`,
		},
		{"no name", x509.Certificate{}, true, ""},
		{"a server that demands none", x509.Certificate{Subject: pkix.Name{CommonName: "audra"}}, false, ""},
	} {
		access, err := query.NewAccess(tokens("a"), c.certificates, query.Provided{})
		if err != nil {
			t.Fatal(err)
		}
		state := tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&c.leaf}}}
		log, err := ask(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}}), t, access)
		switch {
		case c.want == "" && status.Code(err) != codes.Unauthenticated:
			t.Errorf("%s: got %v, want that nobody is known", c.name, err)
		case c.want != "" && (err != nil || !strings.Contains(log, c.want+" identity=mtls release=shop-a")):
			t.Errorf("%s: %v, and the log says %q, want %s", c.name, err, log, c.want)
		}
	}
}

func TestAReadWithATokenIsInTheLogWithoutTheToken(t *testing.T) {
	access, err := query.NewAccess(tokens("s3cret"), false, query.Provided{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer s3cret"))
	log, err := ask(ctx, t, access)
	if err != nil || !strings.Contains(log, "reader=audra identity=token release=shop-a") || strings.Contains(log, "s3cret") {
		t.Errorf("%v, and the log says %q", err, log)
	}
	if log, err := ask(t.Context(), t, access); status.Code(err) != codes.Unauthenticated || log != "" {
		t.Errorf("nobody: %v, and the log says %q", err, log)
	}
}
