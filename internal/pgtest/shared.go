package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/dirlock"
	"github.com/blackdice/shipwarden/internal/postgres"
)

// dirPattern names the directories of shared servers below the system's
// temporary directory, so that a later binary can find those of killed ones.
const dirPattern = "swpgtest-"

var errNoMain = errors.New("the test binary has no TestMain that calls pgtest.Main")

// shared is the server of this test binary.
var shared = &sharedServer{templates: map[string]*template{}}

type sharedServer struct {
	mu        sync.Mutex
	inMain    bool
	dir       string
	lock      *dirlock.Lock
	server    *postgres.Server
	err       error // why the first start failed, for all later tests
	templates map[string]*template
}

// Main runs the tests and then removes the server. Call it, and nothing after
// it, in TestMain: it ends the process with the tests' exit status.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do at the end; it returns the exit
// status.
func Run(m *testing.M) int {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()
	defer shared.stop()
	return m.Run()
}

// get returns the server, starting it the first time.
func (s *sharedServer) get(ctx context.Context) (*postgres.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		s.err = s.start(ctx)
	}
	return s.server, s.err
}

// start must be called with the mutex held.
func (s *sharedServer) start(ctx context.Context) error {
	if !s.inMain {
		return errNoMain
	}
	sweep()
	var err error
	if s.dir, s.lock, err = makeDir(); err != nil {
		return err
	}
	s.server, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(s.dir, "pg")})
	return err
}

func (s *sharedServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.Stop(context.Background())
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	s.lock.Release()
}

// makeDir makes a locked directory that the server's user may pass through.
func makeDir() (string, *dirlock.Lock, error) {
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for postgres: %w", err)
	}
	lock, err := dirlock.Acquire(dir)
	if err != nil {
		return "", nil, err
	}

	if err := os.Chmod(dir, 0o711); err != nil {
		return "", nil, fmt.Errorf("open the directory for postgres: %w", err)
	}
	return dir, lock, nil
}

// sweep removes the directories of test binaries that were killed before they
// could. Whoever can lock one knows that its binary is gone, and its postgres
// leaves with it. Young directories are spared: one made this very moment may
// not be locked yet.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(filepath.Join(dir, dirlock.Name))
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if lock, err := dirlock.Acquire(dir); err == nil {
			_ = os.RemoveAll(dir) // what cannot go now goes the next time
			lock.Release()
		}
	}
}
