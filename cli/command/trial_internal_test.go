package command

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/ground"
	"github.com/blackdice/shipwarden/cli/settings"
)

// TestSettingsAreNotTakenFromADevThatRuns: what is typed in the folder would go to
// another one from then on.
func TestSettingsAreNotTakenFromADevThatRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	put := func(path string, content []byte) {
		t.Helper()
		if err := writeFile(path, content); err != nil {
			t.Fatal(err)
		}
	}
	token := filepath.Join(first, "state", "secrets", "carol.token")
	put(token, []byte("x"))
	out, err := settings.Settings{ApprovalURL: "127.0.0.1:1", TokenFile: token}.File()
	if err != nil {
		t.Fatal(err)
	}
	put(settings.Local, out)
	end, err := ground.Take(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := freeSettings(second, settings.Local); err == nil || !strings.Contains(err.Error(), first) {
		t.Errorf("while it runs: %v", err)
	}
	if err := freeSettings(first, settings.Local); err != nil {
		t.Errorf("its own: %v", err)
	}
	end()
	if err := freeSettings(second, settings.Local); err != nil {
		t.Errorf("after it has ended: %v", err)
	}
}

func TestTheTerminalOfDevIsCalm(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(calm{slog.NewTextHandler(&out, nil)}).With(slog.String("service", "approval"))
	log.WarnContext(t.Context(), "finished call")
	log.WarnContext(t.Context(), "the bus is slow")
	log.ErrorContext(t.Context(), "finished call", slog.String("code", "Internal"))
	if lines := strings.Count(out.String(), "\n"); lines != 2 || !strings.Contains(out.String(), "slow") || !strings.Contains(out.String(), "Internal") {
		t.Errorf("got %s", out.String())
	}
}
