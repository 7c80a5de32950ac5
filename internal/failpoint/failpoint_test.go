package failpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

// program passes one point three times and says what it was told there.
const program = `package main

import (
	"fmt"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

func main() {
	for range 3 {
		fmt.Println(failpoint.Hit("append.before"))
	}
}
`

// build builds the program, with or without the tag. It lies below this package,
// because others may not import what is internal.
func build(t *testing.T, tags string) string {
	t.Helper()
	source, err := os.MkdirTemp(".", "_program-") //nolint:usetesting // It has to lie below this package.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(source) })
	if err := os.WriteFile(filepath.Join(source, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", binary, "./"+source).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

func run(t *testing.T, binary, folder string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = []string{failpoint.Variable + "=" + folder}
	out, err := cmd.Output()
	return string(out), err
}

func TestAnOrderIsCarriedOutOnceAtItsPassage(t *testing.T) {
	binary := build(t, "failpoints")
	for _, test := range []struct {
		name, order, output, fails string
	}{
		{"none", "", "<nil>\n<nil>\n<nil>\n", ""},
		{"error at the second", "error 2", "<nil>\nappend.before: ordered by a failpoint\n<nil>\n", ""},
		{"kill at the third", "kill 3", "<nil>\n<nil>\n", "signal: killed"},
		{"later than any", "kill 4", "<nil>\n<nil>\n<nil>\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			if test.order != "" {
				if err := os.WriteFile(filepath.Join(folder, "append.before.order"), []byte(test.order), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := run(t, binary, folder)
			if out != test.output || (err == nil) != (test.fails == "") || (err != nil && err.Error() != test.fails) {
				t.Errorf("said %q and ended with %v", out, err)
			}
			hits, err := os.ReadFile(filepath.Join(folder, "append.before.hits"))
			if err != nil || len(hits) != 3 {
				t.Errorf("%d passages on record (%v), not 3", len(hits), err)
			}
		})
	}
}

// Who asks for the bus to be killed goes no further until that is done.
func TestABusIsKilledWhileTheProcessStandsStill(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "append.before.order"), []byte("bus 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(build(t, "failpoints"))
	cmd.Env, cmd.Stdout = []string{failpoint.Variable + "=" + folder}, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	taken := filepath.Join(folder, "append.before."+strconv.Itoa(cmd.Process.Pid))
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.Now().Add(time.Minute); ; <-ticker.C {
		if _, err := os.Stat(taken); err == nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("nobody took the order")
		}
	}
	// Let go on too early, it still waits until the bus is dead.
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	hits, err := os.ReadFile(filepath.Join(folder, "append.before.hits"))
	if err != nil || len(hits) != 2 {
		t.Errorf("%d passages on record (%v), not 2", len(hits), err)
	}
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		select {
		case err := <-ended:
			if done = true; err != nil || out.String() != strings.Repeat("<nil>\n", 3) {
				t.Errorf("said %q and ended with %v", out.String(), err)
			}
		case <-ticker.C:
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
}

func TestAnOrdinaryBuildKnowsNoOrders(t *testing.T) {
	if failpoint.Enabled {
		t.Fatal("the tests of this package are for an ordinary build")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "append.before.order"), []byte("kill 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, build(t, ""), folder)
	if err != nil || out != strings.Repeat("<nil>\n", 3) {
		t.Errorf("said %q and ended with %v", out, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}

func TestPointsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range failpoint.Points {
		if seen[p.Name] || strings.ContainsAny(p.Name, "/ ") {
			t.Errorf("point %q is there twice, or is no file name", p.Name)
		}
		seen[p.Name] = true
	}
	for _, name := range failpoint.BusPoints {
		if !seen[name] {
			t.Errorf("the bus is killed at %q, which is no point", name)
		}
	}
}
