package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEverySuiteThatFailsOrIsKilledIsNamed runs tools/beside.sh, by which make test and make
// test-slow run what they are made of: all of it, whatever becomes of the rest.
func TestEverySuiteThatFailsOrIsKilledIsNamed(t *testing.T) {
	t.Parallel()
	said, err := runBeside(t, `case $2 in
bad) echo "it is broken"; exit 1 ;;
killed) kill -9 $$ ;;
*) echo "all is well with $2, $3" ;;
esac`, "good bad killed in/a/folder last", "TMPDIR="+t.TempDir())
	if err == nil {
		t.Error("it passed")
	}
	for _, line := range []string{
		"Testing 5 suites, two at a time", "== test good\nall is well with good, -v\n", "== test bad\nit is broken\n",
		"== test in/a/folder\nall is well with in/a/folder, -v\n", "== test last\nall is well with last, -v\n", "\nFAIL: bad killed\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("it does not say %q:\n%s", line, said)
		}
	}
	// What runs it is killed itself.
	if said, err := runBeside(t, `case $2 in shot) kill -9 $PPID ;; esac`, "shot", "TMPDIR="+t.TempDir()); err == nil || !strings.Contains(said, "\nFAIL: shot\n") {
		t.Errorf("what is killed with its shell: %v:\n%s", err, said)
	}
	if said, err := runBeside(t, "true", "good last", "TMPDIR="+t.TempDir()); err != nil || !strings.Contains(said, "ok: every one of them passed") {
		t.Errorf("%v:\n%s", err, said)
	}
}

// TestSuitesWriteIntoMemoryWhereThereIsRoom and programs can be run out of it; otherwise where they
// write by themselves, and always where TMPDIR says.
func TestSuitesWriteIntoMemoryWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	kib := func(n int) string { return fmt.Sprintf("echo Filesystem\necho tmpfs 99 0 %d 0%% /dev/shm", n) }
	for name, c := range map[string]struct{ df, install, tmp, want string }{
		"enough":                {kib(10 << 20), "", "", "/dev/shm/sw."},
		"too little":            {kib(10<<20 - 1), "", "", "none"},
		"no such folder":        {"exit 1", "", "", "none"},
		"nothing runs in there": {kib(10 << 20), `>"$4"`, "", "none"},
		"elsewhere":             {kib(10 << 20), "", elsewhere, elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.want == "/dev/shm/sw." && !runsInMemory(t) {
				c.want = "none"
			}
			shims := t.TempDir()
			for program, body := range map[string]string{"df": c.df, "install": c.install} {
				if body == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(shims, program), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			env := []string{"PATH=" + shims + ":" + os.Getenv("PATH")}
			if c.tmp != "" {
				env = append(env, "TMPDIR="+c.tmp)
			}
			said, err := runBeside(t, `echo "in ${TMPDIR:-none}"`, "one", env...)
			if err != nil || !strings.Contains(said, "\nin "+c.want) {
				t.Errorf("%v, want %s:\n%s", err, c.want, said)
			}
			_, folder, _ := strings.Cut(said, "\nin ")
			folder, _, _ = strings.Cut(folder, "\n")
			if _, err := os.Stat(folder); err == nil && folder != elsewhere {
				t.Errorf("%s is left", folder)
			}
		})
	}
}

// runsInMemory reports whether programs may be run out of /dev/shm: a Mac has none, and in many a
// container nothing is run out of it.
func runsInMemory(t *testing.T) bool {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sw-test-") //nolint:usetesting // It is this folder that is looked at.
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "may-run")
	return os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700) == nil && exec.CommandContext(t.Context(), program).Run() == nil
}

// runBeside is what the script says that runs a program for each of some names.
func runBeside(t *testing.T, program, names string, env ...string) (string, error) {
	t.Helper()
	script, err := filepath.Abs("../tools/beside.sh")
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(t.TempDir(), "run.sh")
	if err := os.WriteFile(run, []byte(program+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", script, "suites", run, "--suite", "-v")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(names, " ", "\n") + "\n")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}
