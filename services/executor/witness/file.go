package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// name is that of the file in the folder.
const name = "witness.json"

var (
	errMore = errors.New("more than a mark")
	// errChanged says that another mark is kept than the one that was compared.
	errChanged = errors.New("what is kept has changed meanwhile")
	errLocked  = errors.New("whoever writes in it does so for too long")
)

// lockPatience bounds how long is waited for whoever writes in the folder, which takes
// moments; an executor that stands still, or a file server, may have it for ever.
const lockPatience = 3 * time.Second

// maxMark bounds the file in bytes.
const maxMark = 4096

// file is where a mark is kept. Several executors may share the folder: whoever writes has
// it locked, and overwrites nothing but what it has compared with the stream.
type file struct{ folder string }

func openFile(ctx context.Context, folder string) (*file, error) {
	f := &file{folder: folder}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state_folder: %w", err)
	}
	lock, err := f.lock(ctx) // Whoever cannot lock could not write.
	if err != nil {
		return nil, fmt.Errorf("state_folder: %w", err)
	}
	lock.Release()
	return f, nil
}

func (f *file) path() string { return filepath.Join(f.folder, name) }

// read returns the mark that is kept, nil where none is, and ErrUnreadable as why where it
// cannot be one: then nobody knows what was seen. An error is worth another try.
func (f *file) read() (mark *Mark, why, err error) {
	data, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the mark: %w", err)
	}
	mark = &Mark{}
	if len(data) > maxMark {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrUnreadable, f.path(), len(data)), nil
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	err = strict.Decode(mark)
	if err == nil && len(bytes.TrimSpace(data[strict.InputOffset():])) > 0 {
		err = errMore
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, f.path(), err), nil
	}
	if mark.Epoch == "" || mark.Sequence > 0 && mark.Content == "" {
		return nil, fmt.Errorf("%w: %s names no epoch or no content", ErrUnreadable, f.path()), nil
	}
	return mark, nil, nil
}

// lock waits some seconds.
func (f *file) lock(ctx context.Context) (*dirlock.Lock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockPatience, errLocked)
	defer cancel()
	return dirlock.WaitUntil(ctx, f.folder)
}

// advance keeps a mark in the place of the one that was compared with the stream, nil for
// none. An error wraps errChanged where another one is kept now: it must be compared first.
func (f *file) advance(ctx context.Context, compared, mark *Mark) error {
	lock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	kept, why, err := f.read()
	switch {
	case err != nil:
		return err
	case why != nil || !kept.same(compared):
		return errChanged
	}
	return f.write(mark)
}

// write puts the mark in the place of the one that is kept, at once or not at all, and
// returns when that has reached the disk.
func (f *file) write(mark *Mark) error {
	content, err := json.Marshal(mark)
	if err != nil {
		return fmt.Errorf("keep the mark: %w", err)
	}
	next, err := os.CreateTemp(f.folder, name+".*.next")
	if err != nil {
		return fmt.Errorf("keep the mark: %w", err)
	}
	_, err = next.Write(append(content, '\n'))
	if err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), f.path())
	}
	if err != nil {
		return fmt.Errorf("keep the mark: %w", errors.Join(err, os.Remove(next.Name())))
	}
	folder, err := os.Open(f.folder)
	if err != nil {
		return fmt.Errorf("keep the mark: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("keep the mark: %w", err)
	}
	return nil
}
