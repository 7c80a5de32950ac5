package postgres

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// starterDir makes this test program start a cluster there and wait for its end.
const starterDir = "SHIPWARDEN_POSTGRES_TEST_STARTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(starterDir); dir != "" {
		s, err := Start(context.Background(), Config{Dir: dir, Durable: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, s.PID())
		select {}
	}
	os.Exit(m.Run())
}

func TestPostgresLeavesWithItsKilledStarter(t *testing.T) {
	dir := filepath.Join(openDir(t), "pg")
	starter := exec.Command(os.Args[0]) //nolint:gosec // this very program
	starter.Env = append(os.Environ(), starterDir+"="+dir)
	starter.Stderr = os.Stderr
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = starter.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the starter told no process number: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll(ctx, func() bool { return !running(pid) }); err != nil {
		t.Fatalf("postgres %d outlives its starter: %v", pid, err)
	}
	run(t, Config{Dir: dir, Durable: true})
}

// running is alive without the dead that nobody has collected yet: the adoptive
// parent of an orphan may take its time.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
