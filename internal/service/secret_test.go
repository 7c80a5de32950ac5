package service_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestExactlyOneLineEndIsNotPartOfASecret(t *testing.T) {
	for text, want := range map[string]string{
		"hush":        "hush",
		"hush\n":      "hush",
		"hush\r\n":    "hush",
		"hush\n\n":    "hush\n",
		" hush \n":    " hush ",
		"two\nlines":  "two\nlines",
		"\x00\xffraw": "\x00\xffraw",
	} {
		secret, err := service.ReadSecret(write(t, "s", text, 0o600))
		if err != nil || secret.Reveal() != want {
			t.Errorf("%q: got %q, %v; want %q", text, secret.Reveal(), err, want)
		}
	}
}

func TestFilesThatAreNoSecretsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		path string
		want error
	}{
		"everyone may read":  {write(t, "s", "hush", 0o644), service.ErrExposed},
		"everyone may write": {write(t, "s", "hush", 0o602), service.ErrExposed},
		"empty":              {write(t, "s", "", 0o600), service.ErrEmptySecret},
		"only a line end":    {write(t, "s", "\n", 0o600), service.ErrEmptySecret},
		"too long":           {write(t, "s", strings.Repeat("x", 64<<10+1), 0o600), service.ErrTooLarge},
		"a folder":           {t.TempDir(), service.ErrNotFile},
		"missing":            {filepath.Join(t.TempDir(), "absent"), fs.ErrNotExist},
		"no path":            {"", fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.ReadSecret(test.path)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.path) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %q must name the path and not the content", err)
			}
		})
	}
	for _, mode := range []fs.FileMode{0o400, 0o440, 0o600, 0o640} {
		if _, err := service.ReadSecret(write(t, "s", "hush", mode)); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestASecretShowsNowhere(t *testing.T) {
	secret, err := service.ReadSecret(write(t, "s", "hush", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	service.NewLogger(&log, "test", nil).InfoContext(t.Context(), "hello", slog.Any("secret", secret))
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", secret), "%+v": fmt.Sprintf("%+v", secret), "%#v": fmt.Sprintf("%#v", secret),
		"%s":     fmt.Sprintf("%s", secret), //nolint:staticcheck // This very call is what must give nothing away.
		"nested": fmt.Sprintf("%v", struct{ S service.Secret }{secret}),
		"json":   string(encoded), "log": log.String(),
	} {
		if strings.Contains(text, "hush") || !strings.Contains(text, "REDACTED") {
			t.Errorf("%s yields %s", name, text)
		}
	}
}

func TestTheLoggerWritesWhatIsConfigured(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  *configv1.Log
		want string
	}{
		"nothing configured": {nil, `"level":"INFO","msg":"two","service":"recorder"`},
		"text":               {&configv1.Log{Text: true}, "level=INFO msg=two service=recorder"},
		"debug":              {&configv1.Log{Level: configv1.Log_LEVEL_DEBUG}, `"msg":"one"`},
		"error":              {&configv1.Log{Level: configv1.Log_LEVEL_ERROR}, ""},
		"warn":               {&configv1.Log{Level: configv1.Log_LEVEL_WARN}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger := service.NewLogger(&out, "recorder", test.cfg)
			logger.DebugContext(t.Context(), "one")
			logger.InfoContext(t.Context(), "two")
			if test.want == "" && out.Len() > 0 || !strings.Contains(out.String(), test.want) {
				t.Errorf("wrote %q, want %q", out.String(), test.want)
			}
		})
	}
}
