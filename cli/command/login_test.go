package command

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/login"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/identity/providertest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// person is somebody at a terminal, whose provider and services are real and elsewhere.
type person struct {
	t        *testing.T
	provider *providertest.Provider
	served   *services
	address  string
	home     string
	// said is all that was ever printed.
	said bytes.Buffer
}

func (d *person) run(err io.Writer, args ...string) (int, string) {
	d.t.Helper()
	var out bytes.Buffer
	// What a case says about them comes later, and counts.
	args = append([]string{"--approval-url", d.address, "--oidc-issuer", d.provider.Issuer, "--oidc-client", providertest.Client}, args...)
	code := Main(d.t.Context(), args, Process{
		In: bytes.NewReader(nil), Out: &out, Err: io.MultiWriter(&out, &d.said, err),
		Getenv: func(string) string { return "" }, ConfigHome: d.home, Width: func() int { return 0 },
	})
	d.said.Write(out.Bytes())
	return code, out.String()
}

// login runs the command, and does in a browser what the person does with the code.
func (d *person) login(who, action string) (int, string) {
	d.t.Helper()
	return d.run(&browser{func(code string) {
		if err := d.provider.Decide(code, who, action); err != nil {
			d.t.Error(err)
		}
	}}, "login")
}

// browser waits for the code to be shown.
type browser struct{ enter func(code string) }

var shownCode = regexp.MustCompile(`enter the code (\S+)`)

func (b *browser) Write(p []byte) (int, error) {
	if m := shownCode.FindSubmatch(p); m != nil {
		b.enter(string(m[1]))
	}
	return len(p), nil
}

func (d *person) file() string { return filepath.Join(d.home, "shipwarden", "login.json") }

// kept is what the file holds.
func (d *person) kept() map[string]string {
	d.t.Helper()
	data, err := os.ReadFile(d.file())
	if err != nil {
		d.t.Fatal(err)
	}
	out := map[string]string{}
	if err := json.Unmarshal(data, &out); err != nil {
		d.t.Fatal(err)
	}
	return out
}

// withdraws calls a service and returns the token that it was called with.
func (d *person) withdraws(args ...string) string {
	d.t.Helper()
	d.served.calls = nil
	code, said := d.run(io.Discard, append([]string{"withdraw", "shop-a", "--reason", "not today"}, args...)...)
	if code != exit.OK || len(d.served.calls) != 1 {
		d.t.Fatalf("code %d, calls %v: %s", code, d.served.calls, said)
	}
	token, _, _ := strings.Cut(d.served.calls[0], " | ")
	return token
}

// TestLogin (PD-A.4): a person logs in at a real provider, is who the services see, stays
// that, and is nobody again afterwards; and no token is ever shown.
func TestLogin(t *testing.T) {
	program := providertest.Build(t)
	t.Chdir(t.TempDir())
	served, address := serve(t)
	d := &person{t: t, provider: providertest.Start(t, program), served: served, address: address, home: t.TempDir()}
	d.provider.Tell(t, "person anna@shop.example managers")
	verifier, err := identity.NewProvider(&configv1.Oidc{Issuer: d.provider.Issuer, Audience: providertest.Client}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	isAnna := func(token string) {
		t.Helper()
		if c, err := verifier.Verify(t.Context(), token); err != nil || !slices.Equal(c.Names, []string{"anna@shop.example"}) || !slices.Equal(c.Groups, []string{"managers"}) {
			t.Errorf("%+v, %v", c, err)
		}
	}
	fails := func(what string, code int, says string, args ...string) {
		t.Helper()
		if got, said := d.run(io.Discard, args...); got != code || !strings.Contains(said, says) {
			t.Errorf("%s: code %d, %s", what, got, said)
		}
	}
	withdraw := []string{"withdraw", "shop-a", "--reason", "not today"}
	fails("before", exit.Denied, "not logged in: run `shipwarden login`", withdraw...)
	if code, said := d.login("anna@shop.example", "deny"); code != exit.Denied || !strings.Contains(said, "denied") {
		t.Errorf("denied: code %d, %s", code, said)
	}
	code, said := d.login("anna@shop.example", "allow")
	if code != exit.OK || !strings.Contains(said, "You are logged in as anna@shop.example, and stay so") || !strings.Contains(said, d.provider.Issuer+"/device") {
		t.Fatalf("code %d, %s", code, said)
	}
	if info, err := os.Stat(d.file()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	secrets := d.kept()
	first := d.withdraws()
	isAnna(first)
	if again := d.withdraws(); again != first {
		t.Error("a token that is good was replaced")
	}
	// A token-file goes before, and another client's login is somebody else's.
	if err := os.WriteFile("alice.token", []byte("alice-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token := d.withdraws("--token-file", "alice.token"); token != "alice-token" {
		t.Error("token-file was set")
	}
	fails("as another client", exit.Denied, "as client wiki", slices.Concat(withdraw, []string{"--oidc-client", providertest.Other})...)
	fails("to a machine in plain text", exit.Usage, "a token is sent over TLS only", slices.Concat(withdraw, []string{"--approval-url", "approval.shop.example:1"})...)

	// One that ends in a moment is replaced before it is sent, and so is its refresh token.
	d.provider.Tell(t, "life 10s")
	if code, said := d.login("anna@shop.example", "allow"); code != exit.OK {
		t.Fatalf("code %d, %s", code, said)
	}
	short := d.kept()
	d.provider.Tell(t, "life 1h")
	renewed := d.withdraws()
	isAnna(renewed)
	if now := d.kept(); renewed == short["id_token"] || now["id_token"] != renewed || now["refresh_token"] == short["refresh_token"] {
		t.Error("a token that ends in a moment was not replaced")
	}
	if renewed != d.withdraws() {
		t.Error("it is replaced each time")
	}
	// Several at once: a refresh token is good for once, and all of them get in.
	d.provider.Tell(t, "life 10s")
	if code, said := d.login("anna@shop.example", "allow"); code != exit.OK {
		t.Fatalf("code %d, %s", code, said)
	}
	d.provider.Tell(t, "life 1h")
	got := make([]string, 4)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			session := &login.Session{Issuer: d.provider.Issuer, Client: providertest.Client, Folder: filepath.Join(d.home, "shipwarden"), Now: time.Now}
			token, err := session.Token(t.Context())
			if got[i] = token; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(slices.Compact(got)) != 1 {
		t.Error("several at once have several tokens")
	}
	// What others may read is not read.
	if err := os.Chmod(d.file(), 0o644); err != nil {
		t.Fatal(err)
	}
	fails("a file that is open to everyone", exit.Usage, "secret file is open to everyone", withdraw...)
	if err := os.Chmod(d.file(), 0o600); err != nil {
		t.Fatal(err)
	}
	last := d.kept()
	fails("logging out", exit.OK, "You are logged out.", "logout")
	fails("logging out twice", exit.OK, "You were not logged in.", "logout")
	fails("afterwards", exit.Denied, "not logged in", withdraw...)
	// The provider has taken it back: a copy of the file is good for no new token, and an
	// old login, whose refresh token was used, neither.
	for what, refresh := range map[string]string{"taken back": last["refresh_token"], "used": short["refresh_token"]} {
		data, err := json.Marshal(map[string]string{"issuer": d.provider.Issuer, "client": providertest.Client, "id_token": short["id_token"], "refresh_token": refresh})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.file(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		fails("a refresh token that was "+what, exit.Denied, "the login is over", withdraw...)
	}
	for _, kept := range []map[string]string{secrets, short, last} {
		for _, name := range []string{"id_token", "refresh_token"} {
			if kept[name] == "" || strings.Contains(d.said.String(), kept[name]) {
				t.Errorf("%s: missing, or shown", name)
			}
		}
	}
	fails("nowhere", exit.Unreachable, "identity provider", "login", "--oidc-issuer", "http://127.0.0.1:1")
	fails("in plain text", exit.Unreachable, "neither https nor on this machine", "login", "--oidc-issuer", "http://id.shop.example")
}
