package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetupInstallsWithHomebrew runs tools/setup.sh as on a Mac: there is no apt-get, and a
// brew that writes down what it is asked for. What is there already is not installed again,
// and where nobody can install anything it says what is missing, and fails.
func TestSetupInstallsWithHomebrew(t *testing.T) {
	t.Parallel()
	for _, part := range []struct{ name, formula, program string }{
		{"openssh", "openssh", "ssh-keygen"},
		{"alertmanager", "alertmanager", "alertmanager"},
		{"promtool", "prometheus", "promtool"},
		{"prometheus", "prometheus", "prometheus"},
	} {
		t.Run(part.name, func(t *testing.T) {
			m := newMac(t)
			if said, err := m.setup(t, part.name); err == nil || !strings.Contains(said, "setup: "+part.name) || !strings.Contains(said, "missing: install ") {
				t.Errorf("with nobody to install it: %v, %s", err, said)
			}
			m.program(t, "brew", "printf '%s\\n' \"$*\" >>\"$BREW_LOG\"\nprintf '#!/bin/sh\\n' >\"$BREW_BIN/"+part.program+"\"\nchmod +x \"$BREW_BIN/"+part.program+"\"\n")
			said, err := m.setup(t, part.name)
			if err != nil || !strings.Contains(said, "missing: brew install "+part.formula) {
				t.Errorf("%v, %s", err, said)
			}
			m.program(t, "ssh-agent", "")
			if again, err := m.setup(t, part.name); err != nil || strings.Contains(again, "missing") || !strings.Contains(again, part.program) {
				t.Errorf("again: %v, %s", err, again)
			}
			if asked := m.asked(t); asked != "install "+part.formula+"\n" {
				t.Errorf("brew was asked for %q", asked)
			}
			m.program(t, "brew", "echo 'no bottle' >&2\nexit 1\n")
			if err := os.Remove(filepath.Join(m.bin, part.program)); err != nil {
				t.Fatal(err)
			}
			if said, err := m.setup(t, part.name); err == nil || !strings.Contains(said, "no bottle") || !strings.Contains(said, "run 'brew install "+part.formula+"'") {
				t.Errorf("when it fails: %v, %s", err, said)
			}
		})
	}
}

// mac is a folder with the script, and what is on PATH there.
type mac struct{ root, bin, log string }

func newMac(t *testing.T) mac {
	t.Helper()
	m := mac{root: t.TempDir(), bin: t.TempDir(), log: filepath.Join(t.TempDir(), "brew.log")}
	script, err := os.ReadFile("../tools/setup.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.root, "tools"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.root, "tools", "setup.sh"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bash", "sh", "dirname", "mktemp", "tail", "rm", "chmod"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// program puts a script on PATH.
func (m mac) program(t *testing.T, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
}

// asked is what brew was asked for.
func (m mac) asked(t *testing.T) string {
	t.Helper()
	said, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func (m mac) setup(t *testing.T, part string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(m.bin, "bash"), filepath.Join(m.root, "tools", "setup.sh"), part)
	cmd.Env = []string{"PATH=" + m.bin, "BREW_LOG=" + m.log, "BREW_BIN=" + m.bin, "TMPDIR=" + t.TempDir()}
	said, err := cmd.CombinedOutput()
	return string(said), err
}
