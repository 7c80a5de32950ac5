package settings_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/cli/settings"
)

func TestAFileReadsBackAsItWasWritten(t *testing.T) {
	want := settings.Settings{
		ApprovalURL: "127.0.0.1:7100", RecorderURL: "https://recorder.example:443", TokenFile: "/run/alice: #1.token",
		OIDCIssuer: "https://id.shop.example", OIDCClient: "shipwarden", OIDCCAFile: "/id.pem",
		CAFile: "/ca.pem", CertFile: "/c.pem", KeyFile: "/k.pem", NATSURL: "nats://a:1,nats://b:2",
		NATSUser: "ci", NATSPasswordFile: "/p", NATSCreds: "/creds", NATSInboxPrefix: "_INBOX_ci", Source: "/etc/cli.yaml",
	}
	data, err := want.File()
	if err != nil {
		t.Fatal(err)
	}
	got, err := settings.Parse(data, "/etc/cli.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	got, err := settings.Parse([]byte("token-file: alice.token\nnats-url: nats://127.0.0.1:4222\n"), filepath.Join("a", "b", "cli.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join("a", "b", "alice.token"); got.TokenFile != want {
		t.Errorf("token file %s, want %s", got.TokenFile, want)
	}
	if got.NATSURL != "nats://127.0.0.1:4222" {
		t.Errorf("an address was taken for a path: %s", got.NATSURL)
	}
}

func TestWhatIsWrongWithAFileIsToldWithItsPlace(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"unknown keys, all of them", "a: 1\nb: 2\n", []string{`f:1:1 unknown setting "a"`, `f:2:1 unknown setting "b"`}},
		{"given twice", "nats-user: a\nnats-user: b\n", []string{"f:2:1 nats-user is given twice, first in line 1"}},
		{"a list", "nats-url: [a]\n", []string{"f:1:11 nats-url: expected a text"}},
		{"nothing", "nats-url:\n", []string{"nats-url: expected a text"}},
		{"no mapping", "- a\n", []string{"f:1:1 expected settings"}},
		{"a second document", "nats-user: a\n---\nnats-user: b\n", []string{"only one document"}},
		{"no YAML", "nats-url: [", []string{"f: yaml:"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := settings.Parse([]byte(test.file), "f")
			if !errors.Is(err, settings.ErrFile) {
				t.Fatalf("error %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
	if _, err := settings.Parse([]byte("# nothing yet\n"), "f"); err != nil {
		t.Errorf("a file without settings: %v", err)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "http://127.0.0.1:1/": true, "nats://u:p@127.3.2.1:4222": true, "127.0.0.1": true,
		"http://localhost/realms/shop": true, "https://evil.example/@127.0.0.1": false, "https://evil.example?@localhost": false,
		"10.0.0.1:1": false, "example:1": false, "127.0.0.1.example:1": false, "https://localhost.example:1": false, "nats://127.0.0.1@evil.example:1": false, "": false,
	} {
		if got := settings.Loopback(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestFlagBeforeVariableBeforeFile(t *testing.T) {
	t.Chdir(t.TempDir())
	env := map[string]string{"SHIPWARDEN_NATS_URL": "nats://variable:1", "SHIPWARDEN_RECORDER_URL": "variable:1"}
	got, err := settings.Resolve(settings.Sources{
		Flag:   func(name string) (string, bool) { return "flag:1", name == "recorder-url" },
		Getenv: func(name string) string { return env[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := settings.Settings{RecorderURL: "flag:1", NATSURL: "nats://variable:1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, env := range []map[string]string{
		{"SHIPWARDEN_CERT_FILE": "c"},
		{"SHIPWARDEN_NATS_CREDS": "c", "SHIPWARDEN_NATS_USER": "u"},
	} {
		_, err := settings.Resolve(settings.Sources{
			Flag:   func(string) (string, bool) { return "", false },
			Getenv: func(name string) string { return env[name] },
		})
		if err == nil || !strings.Contains(err.Error(), "together") {
			t.Errorf("%v: error %v", env, err)
		}
	}
}
