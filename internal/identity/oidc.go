package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// MethodOIDC is how a caller proved who they are with a token of an OpenID Connect
// provider (PD-A.4).
const MethodOIDC = "oidc"

// ErrProvider says that a provider cannot be used as it is configured.
var ErrProvider = errors.New("OpenID Connect provider cannot be used")

// Bounds on what a provider may do to this service.
const (
	// fetchEvery is the least time between two looks at the provider: whoever sends tokens
	// with keys that nobody has makes it look once, and not once for each.
	fetchEvery = 10 * time.Second
	// keysAge is how long keys are believed that were fetched. After it a key that the
	// provider has taken back is none any more.
	keysAge = 15 * time.Minute
	// maxAnswer bounds a document of the provider, maxToken a token, in bytes.
	maxAnswer = 1 << 20
	maxToken  = 16 << 10
	// maxEarly is how far the provider's clock may be ahead.
	maxEarly = time.Minute
	// fetchTime bounds one look.
	fetchTime = 10 * time.Second
)

// Provider verifies the tokens of one OpenID Connect provider. It finds out about the
// provider when the first token comes, so that a provider that is down keeps nothing from
// starting. It is safe for concurrent use.
type Provider struct {
	config *configv1.Oidc
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	// fetched is when the verifier was made, tried when the provider was last asked.
	fetched, tried time.Time
}

// NewProvider returns the verifier of a provider; nil for none. Nobody is reached. An
// error wraps ErrProvider and names the field.
func NewProvider(config *configv1.Oidc, now func() time.Time) (*Provider, error) {
	if config == nil {
		return nil, nil //nolint:nilnil // None is configured.
	}
	issuer, err := url.Parse(config.GetIssuer())
	if err != nil || issuer.Host == "" || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "" {
		return nil, fmt.Errorf("oidc.issuer: %w: it is not the URL of an issuer", ErrProvider)
	}
	if issuer.Scheme != "https" && (issuer.Scheme != "http" || !outward.Here(issuer.Hostname())) {
		return nil, fmt.Errorf("oidc.issuer: %w: it is neither https nor on this machine", ErrProvider)
	}
	transport := &http.Transport{DialContext: outward.DialContext(fetchTime), TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxIdleConns: 2, IdleConnTimeout: time.Minute}
	if file := config.GetCaFile(); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca_file: %w: %w", ErrProvider, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("oidc.ca_file: %w: there is no certificate in it", ErrProvider)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	p := &Provider{config: config, now: now}
	p.client = &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &guarded{provider: p, next: transport, scheme: issuer.Scheme, hosts: append([]string{issuer.Host}, config.GetKeyHosts()...)},
	}
	return p, nil
}

// guarded lets requests go to the provider only, and answers be of bounded size.
type guarded struct {
	provider *Provider
	next     http.RoundTripper
	scheme   string
	hosts    []string
}

// RoundTrip implements http.RoundTripper.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != g.scheme || !slices.Contains(g.hosts, r.URL.Host) {
		return nil, fmt.Errorf("%w: %s://%s is neither the issuer's host nor one of key_hosts", ErrProvider, r.URL.Scheme, r.URL.Host)
	}
	answer, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

// current is the verifier with keys that are not too old; fresh asks for new ones, because
// a token's key is not among them.
func (p *Provider) current(ctx context.Context, fresh bool) (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	young := p.verifier != nil && now.Sub(p.fetched) < keysAge && !now.Before(p.fetched)
	if young && !fresh {
		return p.verifier, nil
	}
	if !p.tried.IsZero() && now.Sub(p.tried) < fetchEvery && !now.Before(p.tried) {
		if young {
			return p.verifier, nil
		}
		return nil, fmt.Errorf("%w: it did not answer a moment ago", ErrProvider)
	}
	p.tried = now
	// The keys outlive the call that made somebody look for them.
	life := oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	found, err := oidc.NewProvider(life, p.config.GetIssuer())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&about); err != nil || about.Keys == "" {
		return nil, fmt.Errorf("%w: it names no keys", ErrProvider)
	}
	set, err := p.fetch(life, about.Keys)
	if err != nil {
		return nil, err
	}
	algorithms := p.config.GetAlgorithms()
	if len(algorithms) == 0 {
		algorithms = []string{oidc.RS256, oidc.ES256}
	}
	p.verifier = oidc.NewVerifier(p.config.GetIssuer(), set, &oidc.Config{
		ClientID: p.config.GetAudience(), SupportedSigningAlgs: algorithms, Now: p.now,
	})
	p.fetched = now
	return p.verifier, nil
}

// Verify returns who the bearer of a token is. The error says why they are nobody.
func (p *Provider) Verify(ctx context.Context, token string) (Caller, error) {
	if len(token) > maxToken {
		return Caller{}, fmt.Errorf("%w: its token is too long", ErrUnknown)
	}
	verifier, err := p.current(ctx, false)
	if err != nil {
		return Caller{}, err
	}
	id, err := verifier.Verify(ctx, token)
	if err != nil && strings.Contains(err.Error(), errNoKey.Error()) { // the library does not wrap it
		// The provider may have a new key. It is asked once, and not for every such token.
		if verifier, err = p.current(ctx, true); err != nil {
			return Caller{}, err
		}
		id, err = verifier.Verify(ctx, token)
	}
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return p.caller(id)
}

// caller reads the claims of a token that was verified.
func (p *Provider) caller(id *oidc.IDToken) (Caller, error) {
	claims := map[string]json.RawMessage{}
	if err := id.Claims(&claims); err != nil {
		return Caller{}, fmt.Errorf("%w: its claims: %w", ErrUnknown, err)
	}
	now := p.now()
	text := func(claim string) string {
		var value string
		if json.Unmarshal(claims[claim], &value) != nil {
			return ""
		}
		return value
	}
	var notBefore float64
	if raw, ok := claims["nbf"]; ok && json.Unmarshal(raw, &notBefore) != nil {
		return Caller{}, fmt.Errorf("%w: its nbf is no time", ErrUnknown)
	}
	switch {
	case id.IssuedAt.IsZero() || id.IssuedAt.After(now.Add(maxEarly)):
		return Caller{}, fmt.Errorf("%w: its token was issued at no time, or in the future", ErrUnknown)
	case notBefore > float64(now.Add(maxEarly).Unix()):
		return Caller{}, fmt.Errorf("%w: its token is not valid yet", ErrUnknown)
	case !id.Expiry.After(now):
		return Caller{}, fmt.Errorf("%w: its token has expired", ErrUnknown)
	case len(id.Audience) > 1 && text("azp") != p.config.GetAudience(), text("azp") != "" && text("azp") != p.config.GetAudience():
		return Caller{}, fmt.Errorf("%w: its token was made out to somebody else", ErrUnknown)
	}
	claim := p.config.GetNameClaim()
	if claim == "" {
		claim = "email"
	}
	if claim == "email" {
		var verified bool
		if json.Unmarshal(claims["email_verified"], &verified) != nil || !verified {
			return Caller{}, fmt.Errorf("%w: nobody has verified its address", ErrUnknown)
		}
	}
	name := text(claim)
	if strings.TrimSpace(name) == "" {
		return Caller{}, fmt.Errorf("%w: its token has no claim %q", ErrUnknown, claim)
	}
	list := p.config.GetGroupsClaim()
	if list == "" {
		list = "groups"
	}
	c := Caller{Names: []string{name}, Method: MethodOIDC, Provided: true}
	if raw, ok := claims[list]; ok && json.Unmarshal(raw, &c.Groups) != nil {
		return Caller{}, fmt.Errorf("%w: its claim %q is no list of names", ErrUnknown, list)
	}
	return c, nil
}
