// Package changerecord looks change records up in the systems that keep them (PD-1.1): one
// GET of JSON, of which a configuration says where what is. ServiceNow, Jira Service
// Management and whatever else answers like that are configurations, and no code.
//
// There are three answers. The record is read; or the system says that there is none, which
// is a reading as well; or nothing is known, because nobody answered, or not in a way that
// tells anything. What is not known is waited for and never passes.
//
// Requests go to the configured host and nowhere else: the id is checked and escaped, no
// redirect is followed, no proxy of the environment is used, and an answer is bounded in size
// and time. Errors say in words of our own what went wrong; addresses and secrets are in none.
package changerecord

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var (
	// ErrUnknown says that nothing is known of the record now; it may be later.
	ErrUnknown = errors.New("the change record could not be read")
	// ErrConfig says that a connector cannot work as it is configured.
	ErrConfig = errors.New("connector cannot work")
)

const (
	// maxAnswer bounds an answer, in bytes.
	maxAnswer   = 256 << 10
	defaultTime = 10 * time.Second
	placeholder = "{id}"
)

// idPattern is what an id may be at all, whatever the procedure document says: what a
// request for a release may name.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Connector reaches one system. It is safe for concurrent use.
type Connector struct {
	name       string
	before     string // of the address, up to the id
	after      string
	query      bool // the id stands in the query
	header     string
	headerFile string
	fields     *configv1.RecordFields
	client     *http.Client
}

// New returns a connector. The error wraps ErrConfig or that of a file, and begins with the
// field at fault.
func New(cfg *configv1.ChangeConnector) (*Connector, error) {
	c := &Connector{name: cfg.GetName(), header: cfg.GetHeader(), headerFile: cfg.GetHeaderFile(), fields: cfg.GetFields()}
	if c.header == "" {
		c.header = "Authorization"
	}
	if err := c.address(cfg.GetUrl()); err != nil {
		return nil, fmt.Errorf("url: %w: %w", ErrConfig, err)
	}
	if c.headerFile != "" {
		if _, err := service.ReadSecret(c.headerFile); err != nil {
			return nil, fmt.Errorf("header_file: %w", err)
		}
	}
	var roots *x509.CertPool
	if file := cfg.GetCaFile(); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %w", service.ErrNoCertificates)
		}
	}
	timeout := defaultTime
	if cfg.GetTimeout() != nil {
		timeout = cfg.GetTimeout().AsDuration()
	}
	c.client = &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: outward.DialContext(timeout),
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
	}
	return c, nil
}

// address takes the template of the address apart. Its host must not depend on the id.
func (c *Connector) address(template string) error {
	before, after, found := strings.Cut(template, placeholder)
	if !found || strings.Contains(after, placeholder) {
		return errors.New("it must have {id} once")
	}
	u, err := url.Parse(before + "x" + after)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Host, "{}") {
		return errors.New("it is no address such as https://host/path/{id}")
	}
	origin := u.Scheme + "://" + u.Host + "/"
	switch {
	case u.User != nil || u.Fragment != "":
		return errors.New("it must have neither a user nor a fragment: secrets are in header_file")
	case !strings.HasPrefix(strings.ToLower(before), strings.ToLower(origin)):
		return errors.New("{id} must stand in the path or the query")
	case u.Scheme != "https" && (u.Scheme != "http" || !outward.Here(u.Hostname())):
		return errors.New("it must be https: plain http is for this machine only")
	}
	c.before, c.after, c.query = before, after, strings.Contains(before, "?")
	return nil
}

// get returns the status and the body of the answer about a record. Errors wrap ErrUnknown.
func (c *Connector) get(ctx context.Context, id string) (status int, body []byte, err error) {
	escaped := url.PathEscape(id)
	if c.query {
		escaped = url.QueryEscape(id)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.before+escaped+c.after, http.NoBody)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: the request cannot be made", ErrUnknown)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "shipwarden")
	if c.headerFile != "" {
		// Read every time: secrets are replaced while services run.
		secret, err := service.ReadSecret(c.headerFile)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: the secret of connector %s cannot be read", ErrUnknown, c.name)
		}
		request.Header.Set(c.header, secret.Reveal())
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %s", ErrUnknown, failure(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%w: the answer breaks off", ErrUnknown)
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("%w: the answer is longer than %d bytes", ErrUnknown, maxAnswer)
	}
	return response.StatusCode, body, nil
}

// failure says why there is no answer. The error's own text holds the address.
func failure(err error) string {
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &certificate):
		return "the certificate of the system is not trusted"
	case errors.As(err, &network) && network.Timeout():
		return "the system does not answer in time"
	case errors.Is(err, outward.ErrForbidden):
		return "the system's name leads to where nobody is asked"
	}
	return "the system cannot be reached"
}
