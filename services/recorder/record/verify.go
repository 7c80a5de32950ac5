package record

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// epochKey stands in the metadata of the stream.
const epochKey = "epoch"

// source is the stream that is recorded.
type source struct {
	js jetstream.JetStream
}

// verify makes sure that the stream is the one that was recorded up to the
// checkpoint. It returns the stream's epoch and last sequence. Its errors wrap
// ErrEpoch, ErrRegressed or ErrGap where it is not; any other error says nothing.
func (s source) verify(ctx context.Context, at ledger.Checkpoint) (epoch string, last uint64, err error) {
	stream, err := s.js.Stream(ctx, eventstore.StreamEvents)
	if err != nil {
		return "", 0, fmt.Errorf("look at stream %s: %w", eventstore.StreamEvents, err)
	}
	return s.same(ctx, stream.CachedInfo(), at)
}

// same is verify with what the stream's leader says of it.
func (s source) same(ctx context.Context, info *jetstream.StreamInfo, at ledger.Checkpoint) (epoch string, last uint64, err error) {
	epoch, last = info.Config.Metadata[epochKey], info.State.LastSeq
	switch {
	case epoch == "":
		return "", 0, fmt.Errorf("%w: stream %s names none", ErrEpoch, eventstore.StreamEvents)
	case at.Epoch != "" && epoch != at.Epoch:
		return "", 0, fmt.Errorf("%w: it is %q, recorded was %q", ErrEpoch, epoch, at.Epoch)
	case last < at.Sequence:
		return "", 0, fmt.Errorf("%w: it ends at %d, recorded is %d", ErrRegressed, last, at.Sequence)
	case info.State.Msgs > 0 && info.State.FirstSeq > at.Sequence+1:
		return "", 0, fmt.Errorf("%w: it begins at %d, recorded is %d", ErrGap, info.State.FirstSeq, at.Sequence)
	case at.Sequence == 0:
		return epoch, last, nil
	}
	m, err := s.get(ctx, at.Sequence)
	if errors.Is(err, errNoMessage) {
		return "", 0, fmt.Errorf("%w: message %d is gone", ErrRegressed, at.Sequence)
	}
	if err != nil {
		return "", 0, err
	}
	if sha256.Sum256(m.Data) != at.Digest || ledger.Text(m.Subject) != at.Subject {
		return "", 0, fmt.Errorf("%w: message %d is another one", ErrRegressed, at.Sequence)
	}
	return epoch, last, nil
}

// message is what the stream's leader says a message is.
type message struct {
	Subject string `json:"subject"`
	Data    []byte `json:"data"`
}

// get reads one message from the stream's leader. The client library's own call
// refuses messages with headers that it cannot read, which anybody could store.
func (s source) get(ctx context.Context, sequence uint64) (message, error) {
	prefix := jetstream.DefaultAPIPrefix
	switch opts := s.js.Options(); {
	case opts.APIPrefix != "":
		prefix = opts.APIPrefix + "."
	case opts.Domain != "":
		prefix = "$JS." + opts.Domain + ".API."
	}
	body := fmt.Appendf(nil, `{"seq":%d}`, sequence)
	answer, err := s.js.Conn().RequestWithContext(ctx, prefix+"STREAM.MSG.GET."+eventstore.StreamEvents, body)
	if err != nil {
		return message{}, fmt.Errorf("read message %d: %w", sequence, err)
	}
	var r struct {
		Error   *jetstream.APIError `json:"error"`
		Message *message            `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return message{}, fmt.Errorf("read message %d: %w", sequence, err)
	}
	switch {
	case r.Error != nil && r.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return message{}, errNoMessage
	case r.Error != nil:
		return message{}, fmt.Errorf("read message %d: %w", sequence, r.Error)
	case r.Message == nil:
		return message{}, fmt.Errorf("read message %d: %w", sequence, nats.ErrTimeout)
	}
	return *r.Message, nil
}

// missing decides what a message that did not come means: it is there and was
// lost on the way, or it is missing in the stream.
func (s source) missing(ctx context.Context, sequence uint64) error {
	switch _, err := s.get(ctx, sequence); {
	case err == nil:
		return fmt.Errorf("%w: message %d did not come", errInterrupted, sequence)
	case errors.Is(err, errNoMessage):
		return fmt.Errorf("%w: message %d", ErrGap, sequence)
	default:
		return err
	}
}
