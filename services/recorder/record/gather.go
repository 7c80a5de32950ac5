package record

import (
	"context"
	"runtime"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// raw is a message as it came.
type raw struct {
	message jetstream.Msg
	meta    *jetstream.MsgMetadata
}

// gather makes batches of what is there, at most ledger.MaxBatch and without
// waiting for more, and opens them while the batch before is being written.
func (r *Recorder) gather(ctx context.Context, after uint64, in <-chan raw, out chan<- []ledger.Message) error {
	for {
		batch, err := r.collect(ctx, &after, in)
		if err != nil {
			return err
		}
		select {
		case out <- openAll(r.ring, batch):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// collect waits for one message and takes whatever else has come. A message that
// was delivered twice is passed over; one that did not come is looked for.
func (r *Recorder) collect(ctx context.Context, after *uint64, in <-chan raw) ([]raw, error) {
	batch := make([]raw, 0, ledger.MaxBatch)
	for len(batch) < ledger.MaxBatch {
		if r.limit > 0 && *after >= r.limit {
			if len(batch) > 0 {
				return batch, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var next raw
		select {
		case next = <-in:
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
			if len(batch) > 0 {
				return batch, nil
			}
			select {
			case next = <-in:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		sequence := next.meta.Sequence.Stream
		if sequence <= *after {
			continue
		}
		if sequence != *after+1 {
			return nil, r.source.missing(ctx, *after+1)
		}
		*after = sequence
		r.metrics.seen(sequence + next.meta.NumPending)
		batch = append(batch, next)
	}
	return batch, nil
}

// openAll verifies messages on all processors; the order stays.
func openAll(ring *envelope.Keyring, batch []raw) []ledger.Message {
	out := make([]ledger.Message, len(batch))
	workers := min(runtime.GOMAXPROCS(0), (len(batch)+15)/16)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(batch); i += workers {
				out[i] = open(ring, batch[i])
			}
		})
	}
	wait.Wait()
	return out
}

func open(ring *envelope.Keyring, r raw) ledger.Message {
	m := ledger.Message{
		Sequence: r.meta.Sequence.Stream, Subject: r.message.Subject(), Header: r.message.Headers(),
		Body: r.message.Data(), Stored: r.meta.Timestamp,
	}
	m.Entry, m.SignedBy, m.Refused = envelope.Open(ring, m.Subject, m.Header, m.Body, m.Sequence, m.Stored)
	return m
}
