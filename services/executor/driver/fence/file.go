package fence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Names of the two files in the folder of a File.
const (
	RecordName = "fence"
	LockName   = "lock"
)

// Store keeps the record of one target and lets one caller at a time change it.
type Store interface {
	// Load reads the record; the zero record where there is none. It may be
	// superseded before the caller looks at it.
	Load(ctx context.Context) (Record, error)
	// Lock waits until nobody else holds the target. An error wraps driver.ErrBusy
	// when ctx ends first.
	Lock(ctx context.Context) (Held, error)
}

// Held is a locked store. It is for one goroutine.
type Held interface {
	// Load reads the record.
	Load() (Record, error)
	// Keep replaces the record; it survives a crash when Keep returns nil.
	Keep(Record) error
	// Unlock lets others in. Calling it again does nothing.
	Unlock()
}

// File keeps the record in a folder, for every process of the machine. The lock
// is an advisory flock(2): the kernel drops it when its holder ends, however it
// ends.
type File struct {
	// Folder holds the record and the lock; Lock creates it.
	Folder string
}

// lockPause is the time between two looks at a lock that somebody holds.
const lockPause = 10 * time.Millisecond

// Load implements Store.
func (f File) Load(context.Context) (Record, error) {
	var r Record
	data, err := os.ReadFile(filepath.Join(f.Folder, RecordName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read fence: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		// A record that cannot be read must not be taken for none: that would let a
		// stale executor in.
		return r, fmt.Errorf("read fence %s: %w", filepath.Join(f.Folder, RecordName), err)
	}
	return r, nil
}

// Lock implements Store.
func (f File) Lock(ctx context.Context) (Held, error) {
	if err := os.MkdirAll(f.Folder, 0o755); err != nil {
		return nil, fmt.Errorf("lock target: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(f.Folder, LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock target: %w", err)
	}
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &heldFile{File: f, lock: file}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			_ = file.Close()
			return nil, fmt.Errorf("lock target %s: %w", f.Folder, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("lock target %s: %w: %w", f.Folder, driver.ErrBusy, context.Cause(ctx))
		case <-pause.C:
		}
	}
}

type heldFile struct {
	File
	lock *os.File
}

func (h *heldFile) Load() (Record, error) { return h.File.Load(context.Background()) }

func (h *heldFile) Keep(r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("keep fence: %w", err)
	}
	return WriteFile(filepath.Join(h.Folder, RecordName), append(data, '\n'), 0o644)
}

func (h *heldFile) Unlock() {
	if h.lock != nil {
		_ = h.lock.Close()
		h.lock = nil
	}
}

// WriteFile replaces a file as a whole, and so that it survives a power cut. Two
// callers at a time need a lock.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	next := path + ".next"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err == nil {
		err = SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SyncFolder makes what was created, renamed or removed in a folder survive a
// power cut.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closed := folder.Close(); err == nil {
		err = closed
	}
	return err
}

// Memory keeps the record in this process alone. Its zero value is ready.
type Memory struct {
	once   sync.Once
	lock   chan struct{}
	mu     sync.Mutex
	record Record
}

// Load implements Store.
func (m *Memory) Load(context.Context) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record, nil
}

// Lock implements Store.
func (m *Memory) Lock(ctx context.Context) (Held, error) {
	m.once.Do(func() { m.lock = make(chan struct{}, 1) })
	select {
	case m.lock <- struct{}{}:
		return &heldMemory{Memory: m}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("lock target: %w: %w", driver.ErrBusy, context.Cause(ctx))
	}
}

type heldMemory struct {
	*Memory
	unlocked bool
}

func (h *heldMemory) Load() (Record, error) { return h.Memory.Load(context.Background()) }

func (h *heldMemory) Keep(r Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record = r
	return nil
}

func (h *heldMemory) Unlock() {
	if !h.unlocked {
		h.unlocked = true
		<-h.lock
	}
}
