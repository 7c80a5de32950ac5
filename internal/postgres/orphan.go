package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clusterName is the cluster_name of every server that this package starts: the
// mark by which an orphan is told from a server that somebody runs by hand.
const clusterName = "shipwarden"

// orphanGrace is how long an orphan may take for its shutdown before it is told
// to leave at once.
const orphanGrace = 10 * time.Second

// clearPrevious deals with what a process that did not end in order left behind.
// The caller holds the directory's lock, so no Server of this package is alive.
func clearPrevious(ctx context.Context, cfg Config) error {
	path := filepath.Join(cfg.dataDir(), "postmaster.pid")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a running postgres: %w", err)
	}
	pid := pidIn(raw)
	if pid <= 1 || !alive(pid) {
		return nil // postgres sorts out a dead predecessor by itself.
	}
	command, err := commandLine(pid)
	switch {
	case !alive(pid):
		return nil
	case err != nil:
		return fmt.Errorf("%w: process %d may be its postgres: %w", ErrInUse, pid, err)
	case !strings.Contains(command, cfg.dataDir()):
		return disown(path, raw)
	case !strings.Contains(command, "cluster_name="+clusterName):
		return fmt.Errorf("%w: %s is served by process %d, which was started by other means", ErrInUse, cfg.dataDir(), pid)
	}
	return stopOrphan(ctx, cfg, pid)
}

// pidIn is the process number that a pid file begins with, 0 for none.
func pidIn(raw []byte) int {
	first, _, _ := bytes.Cut(raw, []byte("\n"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(first)))
	if err != nil {
		return 0
	}
	return pid
}

// disown handles a pid file whose number now belongs to an unrelated process,
// which postgres would take for its predecessor. It puts in our own number, the
// one living process that postgres knows not to be a postmaster. Removing the
// file instead would also take away the check for leftover backends in it.
func disown(path string, raw []byte) error {
	_, rest, _ := bytes.Cut(raw, []byte("\n"))
	out := append([]byte(strconv.Itoa(os.Getpid())+"\n"), rest...)
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return fmt.Errorf("correct a stale postmaster.pid: %w", err)
	}
	return nil
}

// stopOrphan ends a postgres whose starter died without it.
func stopOrphan(ctx context.Context, cfg Config, pid int) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%w: stop the orphaned postgres %d of %s: %w", ErrInUse, pid, cfg.dataDir(), err)
		}
		gone, cancel := context.WithTimeout(ctx, orphanGrace)
		err := poll(gone, func() bool { return !alive(pid) })
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: the orphaned postgres %d of %s does not end", ErrInUse, pid, cfg.dataDir())
}

// alive reports whether a process of that number exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// poll looks at holds until it is true or ctx ends.
func poll(ctx context.Context, holds func() bool) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
