package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// measureStart measures how long `shipwarden dev` takes from its start as a process until
// it says that it is ready, where its database has been initialized before.
func measureStart(ctx context.Context, cfg Config, dir string, t *table) error {
	cfg.say("building shipwarden")
	source, err := filepath.Abs(cfg.Source)
	if err != nil {
		return err
	}
	binary, folder := filepath.Join(dir, "bin", "shipwarden"), filepath.Join(dir, "start")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", binary, "./cmd/shipwarden") //nolint:gosec // Our own source.
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build shipwarden: %w\n%s", err, out)
	}
	var took []float64
	var used []busy
	for round := range cfg.Rounds + 1 {
		look := watchMachine()
		one, err := start(ctx, binary, folder, filepath.Join(source, "examples", "shop"))
		if err != nil {
			return fmt.Errorf("start shipwarden dev: %w", err)
		}
		if round == 0 {
			cfg.say("  ready after %s, with a database to be initialized", one.Round(time.Millisecond))
			continue
		}
		took, used = append(took, one.Seconds()), append(used, look())
		cfg.say("  ready after %s", one.Round(time.Millisecond))
	}
	t.add(line{
		id: "T8", figure: "start of `shipwarden dev`, its database initialized", ours: took, unit: " s",
		target: 3, targetUnit: " s", atMost: true, limited: boundsOf(used),
	})
	return nil
}

// start runs `shipwarden dev` until it is ready, and ends it again.
func start(ctx context.Context, binary, folder, shop string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, binary, "dev", "--free-ports", "--dir", filepath.Join(folder, "dev"), "--shop", shop) //nolint:gosec // Our own binary.
	cmd.Dir = folder                                                                                                      // It leaves its settings there.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var took time.Duration
	lines := bufio.NewScanner(out)
	for took == 0 && lines.Scan() {
		if strings.Contains(lines.Text(), "is ready") {
			took = time.Since(began)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if took == 0 {
		return 0, fmt.Errorf("it ended before it was ready: %w\n%s", err, said.String())
	}
	return took, nil
}
