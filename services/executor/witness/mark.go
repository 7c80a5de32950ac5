package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// Mark is a message that was seen in the stream.
type Mark struct {
	// Epoch is that of the stream.
	Epoch string `json:"epoch"`
	// Sequence is the message's; 0 where the stream was empty.
	Sequence uint64 `json:"sequence"`
	// Content is the SHA-256 of its subject and content, "sha256:…".
	Content string `json:"content"`
	// Seen is when, by this executor's clock, for people to read.
	Seen time.Time `json:"seen"`
}

func (m *Mark) sequence() uint64 {
	if m == nil {
		return 0
	}
	return m.Sequence
}

// compare says why the stream is not the one in which a mark was seen, and where it is,
// returns the mark at its end. Without a mark it takes the stream as it is. An error says
// nothing about the stream.
func compare(ctx context.Context, stream Stream, mark *Mark, now time.Time) (moved *Mark, why, err error) {
	extent, err := stream.Extent(ctx)
	if err != nil {
		return nil, nil, err
	}
	if extent.Epoch == "" {
		return nil, fmt.Errorf("%w: it names no epoch", ErrEpoch), nil
	}
	if mark != nil {
		if why, err := differs(ctx, stream, mark, extent.Epoch, extent.First, extent.Last); why != nil || err != nil {
			return nil, why, err
		}
		if extent.Last == mark.Sequence {
			return mark, nil, nil
		}
	}
	moved = &Mark{Epoch: extent.Epoch, Sequence: extent.Last, Seen: now.UTC()}
	if extent.Last < extent.First {
		return moved, nil, nil // Nothing is in it.
	}
	content, found, err := stream.Content(ctx, extent.Last)
	if err != nil {
		return nil, nil, err
	}
	if !found { // It was taken away in this moment, or this is another leader: next time.
		return mark, nil, nil
	}
	moved.Content = content
	return moved, nil, nil
}

// differs compares the stream with one mark. A marked message that retention has taken away
// says nothing: the stream goes on behind it, and begins after it.
func differs(ctx context.Context, stream Stream, mark *Mark, epoch string, first, last uint64) (why, err error) {
	switch {
	case epoch != mark.Epoch:
		return fmt.Errorf("%w: its epoch is %q, seen was %q", ErrEpoch, epoch, mark.Epoch), nil
	case last < mark.Sequence:
		return fmt.Errorf("%w: it ends at %d, seen was %d", ErrRegressed, last, mark.Sequence), nil
	case mark.Content == "":
		return nil, nil // It was empty.
	case mark.Sequence < first:
		slog.InfoContext(ctx, "the marked message is no longer kept by the stream: begins anew at its end", slog.Uint64("sequence", mark.Sequence), slog.Uint64("first", first))
		return nil, nil
	}
	content, found, err := stream.Content(ctx, mark.Sequence)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return fmt.Errorf("%w: message %d is gone", ErrRegressed, mark.Sequence), nil
	case content != mark.Content:
		return fmt.Errorf("%w: message %d is another one", ErrRegressed, mark.Sequence), nil
	}
	return nil, nil
}

// name is that of the file in the folder.
const name = "witness.json"

var errMore = errors.New("more than a mark")

// maxMark bounds the file in bytes.
const maxMark = 4096

// file is where a mark is kept. Several executors may share the folder: whoever writes has
// it locked, and writes nothing that goes less far.
type file struct{ folder string }

func openFile(folder string) (*file, error) {
	f := &file{folder: folder}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state_folder: %w", err)
	}
	lock, err := dirlock.Wait(folder) // Whoever cannot lock could not write.
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

// advance keeps a mark, unless one is kept that goes further or is of another epoch, and
// returns the one that is kept now.
func (f *file) advance(mark *Mark) (kept *Mark, why, err error) {
	lock, err := dirlock.Wait(f.folder)
	if err != nil {
		return nil, nil, err
	}
	defer lock.Release()
	kept, why, err = f.read()
	if why != nil || err != nil || kept != nil && (kept.Epoch != mark.Epoch || kept.Sequence > mark.Sequence) {
		return kept, why, err
	}
	return mark, nil, f.write(mark)
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
