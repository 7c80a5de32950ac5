package service_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// good is a valid document of the Recorder schema.
const good = `common:
  nats: { urls: [nats://127.0.0.1:4222] }
  signing_key: { id: recorder-1, file: key.pem }
  keyring_file: keyring.yaml
  http_listen: 127.0.0.1:0
grpc: { listen: 127.0.0.1:0 }
database_url_file: dsn
`

func write(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestAValidConfigurationIsRead(t *testing.T) {
	var cfg configv1.Recorder
	if err := service.LoadConfig(write(t, "c.yaml", good, 0o644), &cfg); err != nil {
		t.Fatal(err)
	}
	if got := cfg.GetCommon().GetSigningKey().GetId(); got != "recorder-1" {
		t.Errorf("signing key %q", got)
	}
}

func TestFaultsInAConfigurationAreNamedWithTheirPlace(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":         {good + "color: red\n", []string{"c.yaml:8:1", "color"}},
		"unknown nested key":  {strings.Replace(good, "keyring_file", "keyring_fle", 1), []string{"c.yaml:4:3", "keyring_fle"}},
		"wrong type":          {strings.Replace(good, "database_url_file: dsn", "database_url_file: [a]", 1), []string{"c.yaml:7:"}},
		"rule broken":         {strings.Replace(good, "keyring.yaml", `""`, 1), []string{"c.yaml:4:", "keyring_file"}},
		"two faults at once":  {good + "color: red\nshape: round\n", []string{"c.yaml:8:1", "c.yaml:9:1"}},
		"key given twice":     {good + "database_url_file: other\n", []string{"c.yaml:8:1", "database_url_file", "line 7"}},
		"second document":     {good + "---\ncolor: red\n", []string{"c.yaml:8:1", "second document"}},
		"required is missing": {"database_url_file: dsn\n", []string{"common", "grpc"}},
		"empty":               {"", []string{"c.yaml", "common"}},
		"comment only":        {"# later\n", []string{"c.yaml", "common"}},
		"not YAML":            {"a: [", []string{"c.yaml"}},
		"no mapping":          {"- a\n", []string{"c.yaml:1:1"}},
		"not text":            {"\x00\x01\x02", []string{"c.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg configv1.Recorder
			err := service.LoadConfig(write(t, "c.yaml", test.text, 0o644), &cfg)
			if !errors.Is(err, service.ErrConfig) {
				t.Fatalf("got %v, want ErrConfig", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error lacks %q:\n%v", part, err)
				}
			}
		})
	}
}

func TestAMissingConfigurationIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.yaml")
	err := service.LoadConfig(path, &configv1.Recorder{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want fs.ErrNotExist naming %s", err, path)
	}
}

func TestAConfigurationHasALimit(t *testing.T) {
	path := write(t, "c.yaml", good+strings.Repeat("#", 1<<20), 0o644)
	if err := service.LoadConfig(path, &configv1.Recorder{}); !errors.Is(err, service.ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
}
