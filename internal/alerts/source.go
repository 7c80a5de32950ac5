package alerts

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

const (
	defaultTimeout = 5 * time.Second
	// maxAnswer bounds an answer in bytes, and maxLabel one label or its value.
	maxAnswer = 4 << 20
	maxLabel  = 512
)

var (
	// ErrURL means that an address is not an http or https URL with a host.
	ErrURL = errors.New("the address must be an http or https URL with a host, without a query")
	// ErrAsk means that a source gave no answer that could be read; the text says what
	// happened, without the address.
	ErrAsk = errors.New("the source gives no answer")
)

// Alert is one active alert.
type Alert struct {
	Labels map[string]string
	// Starts is when its condition became true.
	Starts time.Time
}

// Name is the alert's own.
func (a Alert) Name() string { return a.Labels[labelName] }

// Source is a place where alerts are asked for. It is safe for concurrent use.
type Source struct {
	kind   configv1.AlertSource_Kind
	url    string
	token  string
	client *http.Client
}

// Config says where a source is.
type Config struct {
	Kind configv1.AlertSource_Kind
	URL  string
	// Token is a bearer token, a secret; empty for none.
	Token string
	// TLS is nil for that of the system.
	TLS *tls.Config
	// Timeout is how long one answer may take. Zero: 5 s.
	Timeout time.Duration
}

// New returns a source. The error wraps ErrURL.
func New(c Config) (*Source, error) {
	u, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, ErrURL
	}
	path := map[configv1.AlertSource_Kind]string{
		configv1.AlertSource_KIND_PROMETHEUS:   "/api/v1/alerts",
		configv1.AlertSource_KIND_ALERTMANAGER: "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=true",
	}[c.Kind]
	if path == "" {
		return nil, fmt.Errorf("unknown kind of source %s", c.Kind)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	return &Source{kind: c.Kind, url: u.String() + path, token: c.Token, client: &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:     outward.DialContext(c.Timeout),
			TLSClientConfig: c.TLS, MaxIdleConns: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}}, nil
}

// Active returns the alerts that are active now. Errors wrap ErrAsk.
func (s *Source) Active(ctx context.Context) ([]Alert, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be made", ErrAsk)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "shipwarden")
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrAsk, words(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: HTTP %d", ErrAsk, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s", ErrAsk, words(err))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%w that has at most %d bytes", ErrAsk, maxAnswer)
	}
	found, err := s.read(body)
	if err != nil {
		return nil, fmt.Errorf("%w that can be read: %w", ErrAsk, err)
	}
	return found, nil
}

// words says why there is no answer without saying where: an address may be a secret of
// its owner.
func words(err error) string {
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "not in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, outward.ErrForbidden):
		return "its name leads to where nobody is asked"
	}
	return "it cannot be reached"
}

// read reads an answer. Something that is missing is an error, so that the answer of
// another API is not taken for "no alert".
func (s *Source) read(body []byte) ([]Alert, error) {
	if s.kind == configv1.AlertSource_KIND_PROMETHEUS {
		return prometheus(body)
	}
	return alertmanager(body)
}

func prometheus(body []byte) ([]Alert, error) {
	var answer struct {
		Status string `json:"status"`
		Data   *struct {
			Alerts *[]struct {
				Labels   map[string]string `json:"labels"`
				State    string            `json:"state"`
				ActiveAt time.Time         `json:"activeAt"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New("it is no JSON of that form")
	}
	if answer.Status != "success" || answer.Data == nil || answer.Data.Alerts == nil {
		return nil, errors.New("it is no success")
	}
	var out []Alert
	for _, a := range *answer.Data.Alerts {
		switch a.State {
		case "firing":
			one, err := alert(a.Labels, a.ActiveAt)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		case "pending", "inactive":
		default:
			return nil, errors.New("an alert is in no state that is known")
		}
	}
	return out, nil
}

func alertmanager(body []byte) ([]Alert, error) {
	var answer *[]struct {
		Labels   map[string]string `json:"labels"`
		StartsAt time.Time         `json:"startsAt"`
		Status   struct {
			State string `json:"state"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer == nil {
		return nil, errors.New("it is no JSON of that form")
	}
	var out []Alert
	for _, a := range *answer {
		switch a.Status.State {
		case "active", "unprocessed":
			one, err := alert(a.Labels, a.StartsAt)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		case "suppressed":
		default:
			return nil, errors.New("an alert is in no state that is known")
		}
	}
	return out, nil
}
