package outward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Bounds of one answer of a registry: 4 MiB is what the distribution specification lets a
// manifest have.
const (
	maxAnswer     = 4 << 20
	maxHeader     = 64 << 10
	answerTimeout = 20 * time.Second
)

var (
	// ErrNotConfigured is what a request to a server without an entry ends with.
	ErrNotConfigured = errors.New("not a configured registry")
	// ErrTooLong means that an answer is longer than is taken in.
	ErrTooLong = errors.New("answer is too long")
)

// Registries is the transport to all registries of a service. It lets nothing through but
// requests to configured servers, over TLS unless a server's entry says otherwise, also where
// one of them redirects or has its tokens elsewhere: a password goes to nobody else. It is
// safe for concurrent use.
type Registries struct {
	byHost map[string]*configv1.Registry
	next   *http.Transport
}

// NewRegistries returns the transport to these, by host and port as they stand in locations.
func NewRegistries(byHost map[string]*configv1.Registry) *Registries {
	return &Registries{byHost: byHost, next: &http.Transport{
		Proxy: nil, DialContext: DialContext(answerTimeout), MaxResponseHeaderBytes: maxHeader,
		ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout, IdleConnTimeout: answerTimeout, DisableCompression: true,
	}}
}

// RoundTrip sends a request that may be sent, and takes the whole answer in, up to its
// bound. The error wraps ErrNotConfigured, ErrForbidden or ErrTooLong, or is the network's.
func (r *Registries) RoundTrip(request *http.Request) (*http.Response, error) {
	entry := r.byHost[request.URL.Host]
	switch {
	case entry == nil:
		return nil, fmt.Errorf("%w: %q", ErrNotConfigured, request.URL.Host)
	case request.URL.Scheme != "https" && (request.URL.Scheme != "http" || !entry.GetInsecure()):
		return nil, fmt.Errorf("%w: %q is configured without insecure, so not over %s", ErrNotConfigured, entry.GetHost(), request.URL.Scheme)
	}
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%w: that of %q has more than %d bytes", ErrTooLong, entry.GetHost(), maxAnswer)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// CloseIdleConnections lets go of connections that nobody uses.
func (r *Registries) CloseIdleConnections() { r.next.CloseIdleConnections() }
