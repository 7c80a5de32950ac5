package apart_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// processes are those that read a chart for this one.
func processes(t *testing.T) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, stat := range all {
		text, _ := os.ReadFile(stat) // Some end meanwhile.
		var parent int
		_, after, _ := bytes.Cut(text, []byte(") "))
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		if _, err := fmt.Sscanf(string(after), "%c %d", new(rune), &parent); err != nil || parent != os.Getpid() || !bytes.HasPrefix(command, []byte("shipwarden-chart\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// What reads a chart has nothing by which it could reach anybody, and the system holds it to its limits;
// when nobody wants what it makes any more, it is gone.
func TestTheProcessHasNothingMayLittleAndIsEnded(t *testing.T) {
	t.Setenv("SHIPWARDEN_TEST_SECRET", "hunter2hunter2")
	chart := shop(t, map[string]string{"templates/x.yaml": `a: {{ lookup "v1" "Secret" "shop" "key" }}`})
	ctx, cancel := context.WithCancel(t.Context())
	var seen []int
	_, err := apart.Make(ctx, few, order(chart), answers(func(context.Context, string) (apart.Reply, error) {
		defer cancel()
		if seen = processes(t); len(seen) != 1 {
			return apart.Reply{}, nil
		}
		of := func(name string) string {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(seen[0]), name))
			if err != nil {
				t.Error(err)
			}
			return string(text)
		}
		if got := of("environ"); got != "" {
			t.Errorf("its environment is %q", got)
		}
		if got := of("oom_score_adj"); got != "1000\n" {
			t.Errorf("its score is %q", got)
		}
		limits := of("limits")
		for _, want := range []string{`Max cpu time +2 +3 `, `Max file size +0 +0 `, `Max core file size +0 +0 `, `Max address space +\d+ +\d+ `} {
			if !regexp.MustCompile(want).MatchString(limits) {
				t.Errorf("its limits are\n%s, want %s", limits, want)
			}
		}
		// Pipes, and what the runtime reads of how much of a processor there is.
		files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(seen[0]), "fd", "*"))
		for _, file := range files {
			if to, _ := os.Readlink(file); !regexp.MustCompile(`^(pipe:|anon_inode:|/dev/null$|/sys/fs/cgroup/cpu|$)`).MatchString(to) {
				t.Errorf("it has %s open (%v)", to, err)
			}
		}
		return apart.Reply{}, nil
	}))
	if err == nil || len(seen) != 1 {
		t.Fatalf("processes %v, %v", seen, err)
	}
	if err := syscall.Kill(seen[0], 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it is still there: %v", err)
	}
}
