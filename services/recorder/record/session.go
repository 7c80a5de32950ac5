package record

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// The timing of a session with the stream.
const (
	// verifyEvery is how often a session that is not interrupted looks again
	// whether the stream is the one that was recorded.
	verifyEvery   = 10 * time.Second
	verifyTimeout = 5 * time.Second
	heartbeat     = 5 * time.Second
	// consumerLife is how long the server keeps the consumer of a lost session.
	consumerLife = time.Minute
	// ahead is how many messages are fetched before they are needed.
	ahead = 2 * ledger.MaxBatch
)

// session records from the checkpoint on, until something is in the way.
type session struct {
	*Recorder

	at ledger.Checkpoint
	// reconnects is the connection's count when the session began: what came over
	// a later connection was not verified.
	reconnects uint64
}

// begin reads where the record ends and asks the stream for what follows. The
// consumer is made first and the stream verified afterwards, so that nothing it
// delivers can be older than the look.
func (r *Recorder) begin(ctx context.Context) (*session, jetstream.MessagesContext, error) {
	s := &session{Recorder: r, reconnects: r.js.Conn().Stats().Reconnects}
	if !r.js.Conn().IsConnected() {
		return nil, nil, fmt.Errorf("%w: not connected", errInterrupted)
	}
	var err error
	r.ledger.Forget()
	if s.at, err = r.ledger.Checkpoint(ctx); err != nil {
		return nil, nil, err
	}
	s.metrics.last.Store(s.at.Sequence)
	setup, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	consumer, err := r.consumer(setup, s.at.Sequence+1)
	if err != nil {
		return nil, nil, err
	}
	if err := s.verify(setup); err != nil {
		return nil, nil, err
	}
	if s.at.Sequence == 0 {
		r.past = s.metrics.stream.Load()
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(ahead), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return nil, nil, fmt.Errorf("read stream %s: %w", eventstore.StreamEvents, err)
	}
	return s, messages, nil
}

// verify compares the stream with the record, and binds an empty record to it.
func (s *session) verify(ctx context.Context) error {
	epoch, last, err := s.source.verify(ctx, s.at)
	if err != nil {
		return err
	}
	s.metrics.seen(last)
	if s.at.Epoch != "" {
		return nil
	}
	if err := s.ledger.Adopt(ctx, epoch); err != nil {
		return err
	}
	s.at.Epoch = epoch
	return nil
}

// session records until something is in the way, and says what.
func (r *Recorder) session(ctx context.Context) error {
	s, messages, err := r.begin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wait sync.WaitGroup
	defer func() {
		cancel(nil)
		messages.Stop()
		wait.Wait()
	}()
	lost := r.js.Conn().StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer r.js.Conn().RemoveStatusListener(lost)

	prepared := r.pipeline(ctx, cancel, &wait, s.at, messages)

	look := time.NewTicker(verifyEvery)
	defer look.Stop()
	for {
		if r.limit > 0 && s.at.Sequence >= r.limit {
			return errReached
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lost:
			return errInterrupted
		case <-look.C:
			if err := s.lookAgain(ctx); err != nil {
				return err
			}
		case batch := <-prepared:
			if batch.err != nil {
				return batch.err
			}
			if s.reconnects != r.js.Conn().Stats().Reconnects {
				return errInterrupted
			}
			if err := s.write(ctx, batch.Prepared); err != nil {
				return err
			}
		}
	}
}

// pipeline starts what stands between the stream and the database, each stage at
// work on what follows what the next one has: messages come, are verified on all
// processors, are decided on, and are written. What stands in the way of one message comes out
// behind what was before it; where nothing more comes, all stages end.
func (r *Recorder) pipeline(
	ctx context.Context, cancel context.CancelCauseFunc, wait *sync.WaitGroup, at ledger.Checkpoint, messages jetstream.MessagesContext,
) <-chan ready {
	incoming := make(chan raw, chunkSize)
	toOpen := make(chan *chunk, openers())
	inOrder := make(chan *chunk, ledger.MaxBatch/chunkSize)
	prepared := make(chan ready)
	wait.Go(func() { cancel(receive(ctx, messages, incoming)) })
	wait.Go(func() { r.split(ctx, at.Sequence, incoming, toOpen, inOrder) })
	for range openers() {
		wait.Go(func() { cancel(openAll(ctx, r.ring, toOpen)) })
	}
	wait.Go(func() { r.prepare(ctx, at, inOrder, prepared) })
	return prepared
}

// lookAgain verifies; what cannot be looked at now is looked at next time.
func (s *session) lookAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if err := s.verify(ctx); reasonOf(err) != "" {
		return err
	}
	return nil
}

func (s *session) write(ctx context.Context, batch *ledger.Prepared) error {
	written, err := s.ledger.Commit(ctx, batch)
	if err != nil {
		return err
	}
	s.at = written.Checkpoint
	s.metrics.wrote(batch.Len(), written)
	s.metrics.notable.observe(batch.Counted(), s.past, s.now())
	s.recorded(ctx, written)
	return nil
}

// receive takes messages from the stream as fast as they come.
func receive(ctx context.Context, messages jetstream.MessagesContext, out chan<- raw) error {
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errors.Join(errInterrupted, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("%w: a message without metadata: %w", errInterrupted, err)
		}
		select {
		case out <- raw{m, meta.Sequence.Stream, meta.NumPending, meta.Timestamp}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
