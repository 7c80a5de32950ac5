// Package ground is the folder in which `shipwarden dev` and `shipwarden demo` keep
// everything that they make: one of them uses it at a time, and what is removed from
// it was made by a demo.
package ground

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// Marker is the name of the file that says that a demo made the folder.
const Marker = ".made-by-demo"

// note is what stands in it, for whoever finds it.
const note = "`shipwarden demo` made this folder. When it is run again, it removes what is in it.\n"

var (
	// ErrInUse means that another dev or demo uses the folder.
	ErrInUse = errors.New("the folder is in use")
	// ErrForeign means that no demo made what is in the folder.
	ErrForeign = errors.New("the folder holds what no demo has made")
)

// Take makes the folder where it is missing, and keeps it from others until release
// is called or this process ends. The error wraps ErrInUse where somebody has it.
func Take(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := dirlock.Acquire(dir)
	if errors.Is(err, dirlock.ErrLocked) {
		return nil, fmt.Errorf("%w: %w: end what runs there, or name another folder with --dir", ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	return lock.Release, nil
}

// Empty is Take, and removes what an earlier demo has left. Nothing is removed of a
// folder that somebody uses, or that no demo made: the error wraps ErrInUse or
// ErrForeign.
func Empty(dir string) (release func(), err error) {
	if err := mine(dir); err != nil {
		return nil, err
	}
	if release, err = Take(dir); err != nil {
		return nil, err
	}
	if err := sweep(dir); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// mine tells whether what is in the folder may be removed.
func mine(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	foreign := ""
	for _, e := range entries {
		switch e.Name() {
		case Marker:
			return nil
		case dirlock.Name: // of a run that ended before it made anything
		default:
			foreign = e.Name()
		}
	}
	if foreign == "" {
		return nil
	}
	return fmt.Errorf("%w: %s, for instance %s: name another one with --dir, or remove it yourself", ErrForeign, dir, foreign)
}

// sweep leaves the lock and the marker alone. The marker is there before anything
// else is, so that a demo that was killed is known again.
func sweep(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, Marker), []byte(note), 0o644); err != nil { //nolint:gosec // It is there to be read.
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == Marker || e.Name() == dirlock.Name {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
