package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/blackdice/shipwarden/cli/settings"
)

// Bounds on what a provider may do to this program.
const (
	answerTime = 20 * time.Second
	maxAnswer  = 1 << 20
)

// discover finds out about the provider. The context that it returns makes the library
// use the client of this package.
func (s *Session) discover(ctx context.Context) (context.Context, *oidc.Provider, error) {
	if u, err := url.Parse(s.Issuer); err != nil || u.Host == "" || u.User != nil || !private(u) {
		return ctx, nil, fmt.Errorf("oidc-issuer: %w: %q is neither https nor on this machine", ErrProvider, s.Issuer)
	}
	client, err := s.client()
	if err != nil {
		return ctx, nil, err
	}
	ctx = oidc.ClientContext(ctx, client)
	p, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		return ctx, nil, said(ctx, err)
	}
	return ctx, p, nil
}

// private reports whether nobody on the way can read along.
func private(u *url.URL) bool {
	return u.Scheme == "https" || (u.Scheme == "http" && settings.Loopback(u.Host))
}

func (s *Session) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("oidc-ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("oidc-ca-file: %s: there is no certificate in it", s.CAFile)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Timeout:       answerTime,
		Transport:     careful{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// careful sends nothing in plain text to another machine, and reads no more than it must.
type careful struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c careful) RoundTrip(r *http.Request) (*http.Response, error) {
	if !private(r.URL) {
		return nil, fmt.Errorf("%w: %s://%s is neither https nor on this machine", ErrProvider, r.URL.Scheme, r.URL.Host)
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}
