package eventstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Extent is how far the stream goes, as its leader has it.
type Extent struct {
	// Epoch names the stream's life; empty where the stream names none.
	Epoch string
	// First and Last are the sequences of the oldest and the newest message; of an empty
	// stream First is one more than Last.
	First, Last uint64
}

// Extent asks the stream's leader how far the stream goes. It is asked for anew each time:
// the stream may have been restored. Errors wrap ErrUnavailable where nobody answered.
func (s *Store) Extent(ctx context.Context) (Extent, error) {
	stream, err := retried(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.Stream(ctx, StreamEvents) })
	if err != nil {
		return Extent{}, fmt.Errorf("look at stream %s: %w", StreamEvents, err)
	}
	info := stream.CachedInfo()
	e := Extent{Epoch: info.Config.Metadata[epochKey], First: info.State.FirstSeq, Last: info.State.LastSeq}
	if info.State.Msgs == 0 {
		e.First = e.Last + 1
	}
	return e, nil
}

// Content is the SHA-256, "sha256:…", of the subject and the content of the message with
// that sequence, by the stream's leader; found says whether there is one. Errors are as those
// of Extent.
func (s *Store) Content(ctx context.Context, sequence uint64) (digest string, found bool, err error) {
	m, err := s.at(ctx, sequence)
	if errors.Is(err, errNoMessage) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(append([]byte(m.subject+"\x00"), m.data...))), true, nil
}
