package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Code is what the person is shown: an address, and what to enter there.
type Code struct {
	Address, Code string
	// Whole is the address with the code in it; may be empty.
	Whole string
}

// Who is who has logged in.
type Who struct {
	// Name is the address or the subject that the provider names the person by.
	Name string
	// Until is when the ID token ends; Renews says that it is replaced then.
	Until  time.Time
	Renews bool
}

// Scopes are what is asked for where nothing else is: who somebody is, their groups, and
// that they need not log in again every hour.
func Scopes() []string { return []string{"openid", "email", "groups", "offline_access"} }

// Login has the provider show the person a code, waits until they have entered it, and
// keeps what the provider gives. The error wraps ErrProvider, ErrDenied, ErrTooLate, or
// that of the context.
func (s *Session) Login(ctx context.Context, scopes []string, show func(Code)) (Who, error) {
	ctx, p, err := s.discover(ctx)
	if err != nil {
		return Who{}, err
	}
	config := s.oauth(p, scopes)
	if config.Endpoint.DeviceAuthURL == "" {
		return Who{}, fmt.Errorf("%w %s has no device authorization flow (RFC 8628): write a token of it into a file and set token-file", ErrProvider, s.Issuer)
	}
	device, err := config.DeviceAuth(ctx)
	if err != nil {
		return Who{}, said(ctx, err)
	}
	show(Code{Address: device.VerificationURI, Code: device.UserCode, Whole: device.VerificationURIComplete})
	token, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		return Who{}, said(ctx, err)
	}
	k, id, err := s.take(ctx, p, token, "")
	if err != nil {
		return Who{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(k); err != nil {
		return Who{}, err
	}
	s.kept = k
	var claims struct {
		Email string `json:"email"`
	}
	who := Who{Name: id.Subject, Until: id.Expiry, Renews: k.Refresh != ""}
	if id.Claims(&claims) == nil && claims.Email != "" {
		who.Name = claims.Email
	}
	return who, nil
}

// renew gets a new ID token for the refresh token.
func (s *Session) renew(ctx context.Context, old *kept) (*kept, error) {
	if old.Refresh == "" {
		return nil, ErrOver
	}
	ctx, p, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	token, err := s.oauth(p, nil).TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
			return nil, ErrOver
		}
		return nil, said(ctx, err)
	}
	k, _, err := s.take(ctx, p, token, old.Refresh)
	return k, err
}

// take verifies the ID token that came with others, as a client has to.
func (s *Session) take(ctx context.Context, p *oidc.Provider, token *oauth2.Token, refresh string) (*kept, *oidc.IDToken, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, nil, fmt.Errorf("%w %s gave no ID token", ErrProvider, s.Issuer)
	}
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: s.Client, Now: s.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w %s gave a token that is none: %w", ErrProvider, s.Issuer, err)
	}
	if token.RefreshToken != "" {
		refresh = token.RefreshToken
	}
	return &kept{Issuer: s.Issuer, Client: s.Client, ID: raw, Refresh: refresh}, id, nil
}

// Logout removes the file, and asks the provider to take the refresh token back. The
// first says whether somebody was logged in; the error is that of the file, or wraps
// ErrProvider where the file is gone and the provider did not answer.
func (s *Session) Logout(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.read()
	if removed := os.Remove(s.File()); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		return false, fmt.Errorf("remove the login: %w", removed)
	}
	s.kept = nil
	if errors.Is(err, ErrNobody) {
		return false, nil
	}
	if err != nil || old.Refresh == "" {
		return true, err
	}
	return true, s.revoke(ctx, old.Refresh)
}

// revoke takes a refresh token back (RFC 7009), where the provider lets one do that.
func (s *Session) revoke(ctx context.Context, refresh string) error {
	ctx, p, err := s.discover(ctx)
	if err != nil {
		return err
	}
	var about struct {
		Revoke string `json:"revocation_endpoint"`
	}
	if err := p.Claims(&about); err != nil || about.Revoke == "" {
		return nil // There is no such thing there.
	}
	form := url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}, "client_id": {s.Client}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, about.Revoke, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProvider, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client, err := s.client()
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return said(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w %s did not take the refresh token back: %s", ErrProvider, s.Issuer, answer.Status)
	}
	return nil
}

func (s *Session) oauth(p *oidc.Provider, scopes []string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // a client without a secret
	return &oauth2.Config{ClientID: s.Client, Endpoint: endpoint, Scopes: scopes}
}

// said is what the provider said, without what it may have sent along.
func said(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.As(err, &refused):
		return fmt.Errorf("%w: %w", ErrProvider, err)
	case refused.ErrorCode == "access_denied":
		return ErrDenied
	case refused.ErrorCode == "expired_token":
		return ErrTooLate
	}
	return fmt.Errorf("%w: %s %s", ErrProvider, refused.Response.Status, refused.ErrorCode)
}
