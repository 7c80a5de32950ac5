package resolve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// Bounds of a registry's answers: 4 MiB is what the distribution specification lets
// a manifest have.
const (
	maxAnswer     = 4 << 20
	maxHeader     = 64 << 10
	answerTimeout = 30 * time.Second
)

// registry is a server that may be asked for images, or for tokens.
type registry struct {
	// host is host and port as they stand in locations and in URLs.
	host         string
	address      dial.Address
	insecure     bool
	user         string
	passwordFile string
}

// newRegistry reads one entry of the configuration.
func newRegistry(c *configv1.Registry) (*registry, error) {
	r := &registry{host: c.GetHost(), insecure: c.GetInsecure(), user: c.GetUser(), passwordFile: c.GetPasswordFile()}
	hostport := r.host
	if _, _, err := net.SplitHostPort(hostport); err != nil {
		port := "443"
		if r.insecure {
			port = "80"
		}
		hostport = net.JoinHostPort(strings.Trim(hostport, "[]"), port)
	}
	address, err := dial.ParseAddress(hostport)
	r.address = address
	return r, err
}

// credentials reads the credentials anew every time, so that a new password needs no
// restart. Neither the password nor its file's content is ever in an error.
func (r *registry) credentials() (authn.Authenticator, error) {
	if r.user == "" {
		return authn.Anonymous, nil
	}
	if r.passwordFile == "" {
		return nil, errors.New("registry has a user but no password_file")
	}
	password, err := os.ReadFile(r.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read password_file: %w", err)
	}
	return &authn.Basic{Username: r.user, Password: strings.TrimRight(string(password), "\r\n")}, nil
}

// gate is the transport to all registries. It lets nothing through but requests to
// configured servers, over TLS unless the server's entry says otherwise.
type gate struct {
	registries map[string]*registry
	next       http.RoundTripper
}

// newTransport returns a transport without a proxy that connects to judged addresses.
func newTransport(registries map[string]*registry, names *net.Resolver) http.RoundTripper {
	byAddress := map[string]dial.Address{}
	for _, r := range registries {
		byAddress[r.address.String()] = r.address
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &gate{registries: registries, next: &http.Transport{
		Proxy:                  nil,
		MaxResponseHeaderBytes: maxHeader,
		ResponseHeaderTimeout:  answerTimeout,
		TLSHandshakeTimeout:    answerTimeout,
		IdleConnTimeout:        answerTimeout,
		DisableCompression:     true,
		Protocols:              protocols,
		DialContext: func(ctx context.Context, network, hostport string) (net.Conn, error) {
			address, ok := byAddress[strings.ToLower(hostport)]
			if !ok {
				return nil, fmt.Errorf("%w: %q is not a configured registry", dial.ErrForbidden, hostport)
			}
			pinned, err := address.Pin(ctx, names)
			if err != nil {
				return nil, err
			}
			return pinned.DialContext(ctx, network, hostport)
		},
	}}
}

// errNotConfigured is what a request to a server without an entry ends with.
var errNotConfigured = errors.New("not a configured registry")

// RoundTrip sends a request that may be sent, and takes the whole answer in, up to
// its bound. What was asked for by digest must have that digest.
func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	r, ok := g.registries[request.URL.Host]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %q", errNotConfigured, request.URL.Host)
	case request.URL.Scheme != "https" && (request.URL.Scheme != "http" || !r.insecure):
		return nil, fmt.Errorf("%w: %q is configured without insecure, so not over %s",
			errNotConfigured, r.host, request.URL.Scheme)
	}
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("answer of %q is larger than %d bytes", r.host, maxAnswer)
	}
	if err := compare(request, response.StatusCode, body); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// compare computes the digest of a manifest that was asked for by digest.
func compare(request *http.Request, status int, body []byte) error {
	if request.Method != http.MethodGet || status != http.StatusOK {
		return nil
	}
	_, want, found := strings.Cut(request.URL.Path, "/manifests/sha256:")
	if got := fmt.Sprintf("%x", sha256.Sum256(body)); found && got != want {
		return fmt.Errorf("%w: the registry answered with sha256:%s, requested was sha256:%s", ErrDigest, got, want)
	}
	return nil
}
