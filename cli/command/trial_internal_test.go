package command

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/ground"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/policy"
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

// TestDevTakesTheRootThatTheDocumentNames, or says which one is wanted.
func TestDevTakesTheRootThatTheDocumentNames(t *testing.T) {
	example, err := os.ReadFile("../../examples/starter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := []byte(`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
	named := []byte(string(example) + "\nsigstore:\n  trusted_root: " + policy.Digest(root) +
		"\n  identities:\n    - {id: workflow, issuer: \"https://token.example\", subject: someone, gates: [provenance]}\n")
	dir := t.TempDir()
	file, other, last := filepath.Join(dir, "root.json"), filepath.Join(dir, "other.json"), filepath.Join(dir, "last.json")
	for path, content := range map[string][]byte{file: root, other: []byte("{}")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, flag, last string
		document         []byte
		want             []byte
		refusal          string
	}{
		{"neither", "", last, example, nil, ""},
		{"the one", file, last, named, root, ""},
		{"that of last time", "", file, named, root, ""},
		{"none", "", last, named, nil, "--sigstore-root: required"},
		{"another", other, last, named, nil, "the procedure document names " + policy.Digest(root)},
		{"one that nobody names", file, last, example, nil, "the procedure document names none"},
		{"one that is not there", last, last, named, nil, "no such file"},
	} {
		got, err := devOptions{root: test.flag}.sigstoreRoot(test.document, test.last)
		if !bytes.Equal(got, test.want) || (err != nil) != (test.refusal != "") || err != nil && !strings.Contains(err.Error(), test.refusal) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}
