package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrFolder says that no state_folder is configured, so that there is nothing to look at.
var ErrFolder = errors.New("state_folder: none is configured")

// Compare says on out what an executor with that folder has seen, and how the stream is. The
// error wraps ErrStopped where the stream is not the one that was seen.
func Compare(ctx context.Context, stream Stream, folder string, now time.Time, out io.Writer) error {
	f, mark, why, err := seen(ctx, folder)
	if err != nil {
		return err
	}
	if why == nil {
		_, why, err = compare(ctx, stream, now, mark)
	}
	if err != nil {
		return err
	}
	describe(out, "seen", mark)
	extent, err := stream.Extent(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the stream: epoch %s, messages %d to %d\n", extent.Epoch, extent.First, extent.Last)
	if why == nil {
		fmt.Fprintf(out, "the stream is the one that was seen (%s)\n", f.path())
	}
	return stoppedBy(why)
}

// Replace has executors with that folder take the stream as it is now for the one that they
// have seen: a person has decided that it is the one that counts. What was seen before is
// written on out. Executors that do nothing go on within moments, without a restart.
func Replace(ctx context.Context, stream Stream, folder string, now time.Time, out io.Writer) error {
	f, _, _, err := seen(ctx, folder)
	if err != nil {
		return err
	}
	after, broken, err := compare(ctx, stream, now)
	if err = errors.Join(err, broken); err != nil {
		return err
	}
	if after == nil {
		return fmt.Errorf("%w: its end changed while it was looked at: try again", ErrRegressed)
	}
	lock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	before, why, err := f.read()
	if err != nil {
		return err
	}
	// Later than the last time in any case: by that executors tell that a person did it.
	after.Replaced = now.UTC()
	if last := before.replaced(); !after.Replaced.After(last) {
		after.Replaced = last.Add(time.Nanosecond)
	}
	if err := f.write(after); err != nil {
		return err
	}
	if why != nil {
		fmt.Fprintf(out, "seen before: %v\n", why)
	} else {
		describe(out, "seen before", before)
	}
	describe(out, "replaced by", after)
	return nil
}

func seen(ctx context.Context, folder string) (f *file, mark *Mark, why, err error) {
	if folder == "" {
		return nil, nil, nil, ErrFolder
	}
	if f, err = openFile(ctx, folder); err != nil {
		return nil, nil, nil, err
	}
	mark, why, err = f.read()
	return f, mark, why, err
}

func describe(out io.Writer, what string, m *Mark) {
	if m == nil {
		fmt.Fprintf(out, "%s: nothing\n", what)
		return
	}
	fmt.Fprintf(out, "%s: epoch %s, message %d, %s, %s\n", what, m.Epoch, m.Sequence, m.Content, m.Seen.Format(time.RFC3339))
}
