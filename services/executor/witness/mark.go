package witness

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
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
	// Replaced is when a person took the stream as it was for the one that was seen; zero
	// where nobody has. Whoever moves the mark carries it on, so that an executor tells what
	// a person has decided from what another executor keeps.
	Replaced time.Time `json:"replaced,omitzero"`
}

func (m *Mark) sequence() uint64 {
	if m == nil {
		return 0
	}
	return m.Sequence
}

func (m *Mark) replaced() time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.Replaced
}

// same says that two marks are of one message, whoever has seen it and when.
func (m *Mark) same(o *Mark) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m.Epoch == o.Epoch && m.Sequence == o.Sequence && m.Content == o.Content && m.Replaced.Equal(o.Replaced)
}

// beyond says that a mark goes further than another one of the same stream, or than none.
func (m *Mark) beyond(o *Mark) bool {
	return m != nil && (o == nil || m.Epoch == o.Epoch && m.Sequence > o.Sequence)
}

// compare says why the stream is not the one in which the marks were seen, which may be nil,
// and returns the mark that it lacks. Where it has them all it returns the mark at its end.
// Without any it takes the stream as it is. An error says nothing about the stream.
func compare(ctx context.Context, stream Stream, now time.Time, marks ...*Mark) (mark *Mark, why, err error) {
	extent, err := stream.Extent(ctx)
	if err != nil {
		return nil, nil, err
	}
	var furthest *Mark
	for _, m := range marks {
		if m != nil && (furthest == nil || m.Sequence > furthest.Sequence) {
			furthest = m
		}
	}
	if extent.Epoch == "" {
		return furthest, fmt.Errorf("%w: it names no epoch", ErrEpoch), nil
	}
	if furthest == nil {
		return end(ctx, stream, extent, nil, now)
	}
	// The furthest first: it is the one to be remembered where the stream lacks several.
	for _, m := range append([]*Mark{furthest}, marks...) {
		if m == nil || m != furthest && m.same(furthest) {
			continue
		}
		if why, err := differs(ctx, stream, m, extent); why != nil || err != nil {
			return m, why, err
		}
	}
	return end(ctx, stream, extent, furthest, now)
}

// end returns the mark at the stream's end, and the one before where nothing came after it.
func end(ctx context.Context, stream Stream, extent eventstore.Extent, before *Mark, now time.Time) (mark *Mark, why, err error) {
	switch {
	case before != nil && (extent.Last == before.Sequence || extent.Last < extent.First):
		return before, nil, nil
	case extent.Last < extent.First: // Nothing is in it.
		return &Mark{Epoch: extent.Epoch, Seen: now.UTC()}, nil, nil
	}
	content, found, err := stream.Content(ctx, extent.Last)
	if err != nil {
		return nil, nil, err
	}
	if !found { // It was taken away in this moment, or this is another leader: next time.
		return before, nil, nil
	}
	return &Mark{Epoch: extent.Epoch, Sequence: extent.Last, Content: content, Seen: now.UTC()}, nil, nil
}

// differs compares the stream with one mark. A marked message that retention has taken away
// says nothing: the stream goes on behind it, and begins after it.
func differs(ctx context.Context, stream Stream, mark *Mark, extent eventstore.Extent) (why, err error) {
	switch {
	case extent.Epoch != mark.Epoch:
		return fmt.Errorf("%w: its epoch is %q, seen was %q", ErrEpoch, extent.Epoch, mark.Epoch), nil
	case extent.Last < mark.Sequence:
		return fmt.Errorf("%w: it ends at %d, seen was %d", ErrRegressed, extent.Last, mark.Sequence), nil
	case mark.Content == "":
		return nil, nil // It was empty.
	case mark.Sequence < extent.First:
		slog.InfoContext(ctx, "the marked message is no longer kept by the stream: begins anew at its end", slog.Uint64("sequence", mark.Sequence), slog.Uint64("first", extent.First))
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
