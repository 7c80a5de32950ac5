// Package dirlock keeps two processes from using one data directory.
//
// The lock is an advisory flock(2) on a file in the directory. The kernel drops
// it when the process that holds it ends, however it ends, so a crash never
// leaves a directory locked and there is no process id to misread.
package dirlock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Name is the name of the lock file inside a locked directory.
const Name = "lock"

// ErrLocked means that another holder, in this process or another, has the lock.
var ErrLocked = errors.New("directory is in use")

// Lock is a held lock. Its zero value is not useful; take one with Acquire.
type Lock struct {
	file *os.File
}

// Acquire locks the existing directory dir without waiting. It returns an error
// that wraps ErrLocked, and names the holder's process id where that is known,
// when the lock is taken. The returned lock must be released by Release.
func Acquire(dir string) (*Lock, error) { return acquire(dir, syscall.LOCK_EX|syscall.LOCK_NB) }

// Wait is Acquire, and waits for whoever has the lock. It is for what holds a lock for
// moments alone: there is no end to the waiting but that of the holder.
func Wait(dir string) (*Lock, error) { return acquire(dir, syscall.LOCK_EX) }

// pause is the time between two looks at a lock that somebody holds.
const pause = 10 * time.Millisecond

// WaitUntil is Wait, and gives up when the context ends. Its error then wraps ErrLocked and
// the context's cause.
func WaitUntil(ctx context.Context, dir string) (*Lock, error) {
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		lock, err := Acquire(dir)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-again.C:
		}
	}
}

func acquire(dir string, how int) (*Lock, error) {
	path := filepath.Join(dir, Name)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock directory %s: %w", dir, err)
	}
	if err := flock(file, how); err != nil {
		holder := holderOf(path)
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock directory %s: %w%s", dir, ErrLocked, holder)
		}
		return nil, fmt.Errorf("lock directory %s: %w", dir, err)
	}
	// The process id is for people who read the error above; the lock itself is
	// the flock, so a failure to write it is no reason to refuse.
	if err := file.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(file, "%d\n", os.Getpid())
	}
	return &Lock{file: file}, nil
}

// Release gives the lock back. Calling it again does nothing. The file stays:
// removing it would let two processes lock two different files of that name.
func (l *Lock) Release() {
	if l == nil || l.file == nil {
		return
	}
	_ = l.file.Close()
	l.file = nil
}

// flock retries the system call when a signal interrupts it.
func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holderOf describes who holds the lock at path, or returns "" when unknown.
func holderOf(path string) string {
	pid, err := os.ReadFile(path)
	if err != nil || len(pid) == 0 {
		return ""
	}
	return " by process " + strings.TrimSpace(string(pid))
}
