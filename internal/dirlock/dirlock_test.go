package dirlock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

func TestASecondHolderIsRefusedAndToldWhoHoldsIt(t *testing.T) {
	dir := t.TempDir()
	first, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = dirlock.Acquire(dir)
	if !errors.Is(err, dirlock.ErrLocked) {
		t.Fatalf("second Acquire: got %v, want ErrLocked", err)
	}
	if pid := strconv.Itoa(os.Getpid()); !strings.Contains(err.Error(), pid) {
		t.Errorf("error %q does not name the holder %s", err, pid)
	}
	first.Release()
	first.Release()
	second, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatalf("Acquire after Release: %v", err)
	}
	second.Release()
}

func TestWhoWaitsGivesUpWhenTheContextEnds(t *testing.T) {
	dir := t.TempDir()
	first, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := dirlock.WaitUntil(ctx, dir); !errors.Is(err, dirlock.ErrLocked) || !errors.Is(err, enough) {
		t.Errorf("got %v, want ErrLocked and why it gave up", err)
	}
	waited := make(chan error, 1)
	go func() {
		lock, err := dirlock.WaitUntil(t.Context(), dir)
		lock.Release()
		waited <- err
	}()
	first.Release()
	if err := <-waited; err != nil {
		t.Errorf("after Release: %v", err)
	}
	if _, err := dirlock.WaitUntil(t.Context(), filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestAMissingDirectoryIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	_, err := dirlock.Acquire(dir)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, want fs.ErrNotExist naming %s", err, dir)
	}
}
