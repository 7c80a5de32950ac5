package main

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// shelf is where the provider keeps things: the library's own example storage, with keys
// that change, people in groups, and tokens that say so.
type shelf struct {
	*storage.Storage
	ring ring

	mu sync.Mutex
	// life is how long ID tokens last.
	life time.Duration
	// groups are those of a person, verified whether the address is theirs.
	groups   map[string][]string
	verified map[string]bool
}

// Clients of the provider: the command that people log in with, and somebody else's.
const (
	clientOurs   = "shipwarden"
	clientOthers = "wiki"
)

// password is everybody's. Who somebody is is not what is tested here.
const password = "open sesame"

func newShelf() (*shelf, error) {
	clients := map[string]*storage.Client{
		clientOurs: storage.NativeClient(clientOurs), clientOthers: storage.NativeClient(clientOthers),
	}
	s := &shelf{life: time.Hour, groups: map[string][]string{}, verified: map[string]bool{}}
	s.Storage = storage.NewStorageWithClients(people{s}, clients)
	return s, s.ring.turn("RS256")
}

// command does what a test wants of the provider while it runs:
//
//	person ADDRESS GROUP,GROUP    somebody, in these groups from now on
//	unverified ADDRESS            somebody whose address nobody has verified
//	key ALGORITHM                 sign with a new key, and show the old ones, too
//	forget                        show the newest key only
//	life DURATION                 ID tokens last so long from now on
func (s *shelf) command(line string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := append(strings.Fields(line), "", "")
	switch words[0] {
	case "person":
		s.verified[words[1]], s.groups[words[1]] = true, nil
		if words[2] != "" {
			s.groups[words[1]] = strings.Split(words[2], ",")
		}
	case "unverified":
		s.verified[words[1]], s.groups[words[1]] = false, nil
	case "key":
		if err := s.ring.turn(words[1]); err != nil {
			return err.Error()
		}
	case "forget":
		s.ring.forget()
	case "life":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err.Error()
		}
		s.life = d
	default:
		return fmt.Sprintf("unknown command %q", line)
	}
	return "ok"
}

// people are those of the commands.
type people struct{ shelf *shelf }

// GetUserByID implements storage.UserStore. A person's id is their address.
func (p people) GetUserByID(id string) *storage.User {
	p.shelf.mu.Lock()
	defer p.shelf.mu.Unlock()
	verified, ok := p.shelf.verified[id]
	if !ok {
		return nil
	}
	return &storage.User{ID: id, Username: id, Password: password, Email: id, EmailVerified: verified}
}

// GetUserByUsername implements storage.UserStore.
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }

// ExampleClientID implements storage.UserStore.
func (people) ExampleClientID() string { return "service" }

// client is one that people log in with on devices, and whose ID tokens say who they are.
type client struct {
	*storage.Client
	life time.Duration
}

// GrantTypes implements op.Client.
func (client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeDeviceCode, oidc.GrantTypeRefreshToken}
}

// IDTokenUserinfoClaimsAssertion implements op.Client.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

// IsScopeAllowed implements op.Client.
func (client) IsScopeAllowed(scope string) bool { return scope == "groups" }

// IDTokenLifetime implements op.Client.
func (c client) IDTokenLifetime() time.Duration { return c.life }

// GetClientByClientID implements op.Storage.
func (s *shelf) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	known, ok := found.(*storage.Client)
	if !ok {
		return nil, fmt.Errorf("client %s is of another kind", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return client{known, s.life}, nil
}

// service is one that logs in with a secret of its own: the library's example has "sid1".
type service struct{ op.Client }

// AccessTokenType implements op.Client: one that says whose it is.
func (service) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *shelf) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	found, err := s.Storage.ClientCredentials(ctx, id, secret)
	return service{found}, err
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage: made out to us.
//
//nolint:unparam // The library's interface has it.
func (s *shelf) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{clientOurs}, Scopes: scopes}, nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: the groups beside what the library says.
func (s *shelf) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if groups := s.groups[request.GetSubject()]; groups != nil {
		info.AppendClaims("groups", groups)
	}
	return nil
}

// CreateAccessAndRefreshTokens implements op.Storage. The example's does not know whose a
// device's refresh token is.
func (s *shelf) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, current string) (id, refresh string, expires time.Time, err error) {
	if device, ok := request.(*op.DeviceAuthorizationState); ok {
		request = storage.RefreshTokenRequestFromBusiness(&storage.RefreshToken{
			ApplicationID: device.ClientID, UserID: device.Subject, Audience: device.GetAudience(), Scopes: device.Scopes, AuthTime: time.Now(),
		})
	}
	return s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
}

// page is where people say yes to a device. Everything on one page: a test reads no others.
var page = template.Must(template.New("").Parse(`<!doctype html><title>Device</title><form method="post">
<input name="user_code" value="{{.}}"><input name="username"><input name="password" type="password">
<button name="action" value="allow">Allow</button><button name="action" value="deny">Deny</button></form>`))

// form is that page, and what comes of it.
func (s *shelf) form(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		_ = page.Execute(w, r.FormValue("user_code"))
		return
	}
	code, who := r.PostFormValue("user_code"), r.PostFormValue("username")
	if err := s.CheckUsernamePasswordSimple(who, r.PostFormValue("password")); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if _, err := s.GetDeviceAuthorizationByUserCode(r.Context(), code); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	decide := func() error { return s.CompleteDeviceAuthorization(r.Context(), code, who) }
	if r.PostFormValue("action") == "deny" {
		decide = func() error { return s.DenyDeviceAuthorization(r.Context(), code) }
	}
	if err := decide(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
