// Package providertest runs a real OpenID Connect provider as a process of its own: the
// program of tools/provider, which is built on a certified library and knows nothing of us.
package providertest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Clients that the provider knows: ours, and somebody else's.
const (
	Client = "shipwarden"
	Other  = "wiki"
)

// password is everybody's at the provider.
const password = "open sesame"

// Provider is one that runs until the test ends.
type Provider struct {
	Issuer string

	lines  *bufio.Scanner
	words  io.Writer
	client *http.Client
}

// Build builds the program and returns its path.
func Build(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "provider", "go.mod")); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			t.Fatalf("tools/provider is not above the test: %v", err)
		}
		dir = filepath.Dir(dir)
	}
	program := filepath.Join(t.TempDir(), "provider")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, ".")
	cmd.Dir = filepath.Join(dir, "tools", "provider")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the provider: %v\n%s", err, out)
	}
	return program
}

// Start starts the program that Build has built. It ends with the test.
func Start(t testing.TB, program string) *Provider {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	p := &Provider{lines: bufio.NewScanner(out), words: in, client: &http.Client{Timeout: 10 * time.Second}}
	p.Issuer = p.line(t)
	return p
}

func (p *Provider) line(t testing.TB) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the provider has ended: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// Tell has the provider do what a line says: see command in tools/provider.
func (p *Provider) Tell(t testing.TB, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(p.words, format+"\n", args...); err != nil {
		t.Fatal(err)
	}
	if answer := p.line(t); answer != "ok" {
		t.Fatalf("%s: %s", fmt.Sprintf(format, args...), answer)
	}
}

// Tokens are what the provider gives a client.
type Tokens struct {
	ID      string `json:"id_token"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// Login is a person who logs in on a device (RFC 8628), as the client.
func (p *Provider) Login(t testing.TB, client, person string) Tokens {
	t.Helper()
	var began struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	p.post(t, "/device_authorization", url.Values{"client_id": {client}, "scope": {"openid email groups offline_access"}}, &began)
	if err := p.Decide(began.User, person, "allow"); err != nil {
		t.Fatal(err)
	}
	var got Tokens
	p.post(t, "/oauth/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {began.Device}, "client_id": {client},
	}, &got)
	return got
}

// Decide is the person's browser: they log in and allow or deny what the code stands for.
func (p *Provider) Decide(code, person, action string) error {
	answer, err := p.client.PostForm(p.Issuer+"/device", url.Values{
		"user_code": {code}, "username": {person}, "password": {password}, "action": {action},
	})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not let in: %s", person, answer.Status)
	}
	return nil
}

// Service is the token of a service that logs in with a secret, made out to us.
func (p *Provider) Service(t testing.TB) string {
	t.Helper()
	var got Tokens
	p.post(t, "/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"sid1"}, "client_secret": {"verysecret"}, "scope": {"openid"},
	}, &got)
	return got.Access
}

// Keys are the provider's keys as it shows them, in JSON.
func (p *Provider) Keys(t testing.TB) []byte {
	t.Helper()
	answer, err := p.client.Get(p.Issuer + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (p *Provider) post(t testing.TB, path string, form url.Values, into any) {
	t.Helper()
	answer, err := p.client.PostForm(p.Issuer+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", path, answer.Status, err, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}
