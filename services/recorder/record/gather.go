package record

import (
	"context"
	"runtime"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// chunkSize is how many messages one processor verifies at a time: many enough that
// passing them on costs nothing beside it, few enough that no processor waits long.
const chunkSize = 32

// atOnce is how many messages are verified where they come: to hand fewer over would
// take longer.
const atOnce = 2

// raw is a message as it came.
type raw struct {
	message  jetstream.Msg
	sequence uint64
	// pending is how many messages follow it in the stream.
	pending uint64
	stored  time.Time
}

// chunk is a few messages that follow each other. Its messages are there once it is
// opened; its order among the others was set before.
type chunk struct {
	raw      []raw
	messages []ledger.Message
	opened   chan struct{}
	// err is why nothing follows it.
	err error
}

// more is how many messages are known to follow.
func (c *chunk) more() uint64 {
	if len(c.raw) == 0 {
		return 0
	}
	return c.raw[len(c.raw)-1].pending
}

// split makes chunks of what is there, without waiting for more, and gives each to
// whoever opens it, and in order to whoever records it. It ends with the context, or
// with a chunk that says why: what came before is recorded.
func (r *Recorder) split(ctx context.Context, after uint64, in <-chan raw, open, inOrder chan<- *chunk) {
	for {
		c := r.collect(ctx, &after, in)
		if len(c.raw) <= atOnce {
			c.open(r.ring)
		} else if !pass(ctx, open, c) {
			return
		}
		if !pass(ctx, inOrder, c) {
			return
		}
		if c.err != nil {
			return
		}
	}
}

func pass(ctx context.Context, to chan<- *chunk, c *chunk) bool {
	select {
	case to <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// collect waits for one message and takes whatever else has come. A message that
// was delivered twice is passed over; one that did not come is looked for.
func (r *Recorder) collect(ctx context.Context, after *uint64, in <-chan raw) *chunk {
	c := &chunk{opened: make(chan struct{})}
	for len(c.raw) < chunkSize && c.err == nil {
		if r.limit > 0 && *after >= r.limit {
			if len(c.raw) == 0 {
				<-ctx.Done() // There is no more to be done.
				c.err = ctx.Err()
			}
			break
		}
		next, there, err := take(ctx, in, len(c.raw) == 0)
		switch {
		case err != nil:
			c.err = err
		case !there:
			r.metrics.seen(*after + c.more())
			return c
		case next.sequence <= *after:
		case next.sequence != *after+1:
			c.err = r.source.missing(ctx, *after+1)
		default:
			*after = next.sequence
			c.raw = append(c.raw, next)
		}
	}
	r.metrics.seen(*after + c.more())
	return c
}

// take takes a message; there is none only where it may not wait.
func take(ctx context.Context, in <-chan raw, wait bool) (next raw, there bool, err error) {
	if !wait {
		select {
		case next = <-in:
			return next, true, nil
		default:
			return raw{}, false, nil
		}
	}
	select {
	case next = <-in:
		return next, true, nil
	case <-ctx.Done():
		return raw{}, false, ctx.Err()
	}
}

// openers is how many processors verify.
func openers() int { return runtime.GOMAXPROCS(0) }

// openAll opens chunk after chunk.
func openAll(ctx context.Context, ring *envelope.Keyring, in <-chan *chunk) error {
	for {
		select {
		case c := <-in:
			c.open(ring)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open verifies the messages.
func (c *chunk) open(ring *envelope.Keyring) {
	c.messages = make([]ledger.Message, len(c.raw))
	for i := range c.raw {
		open(ring, &c.raw[i], &c.messages[i])
		c.raw[i].message = nil
	}
	close(c.opened)
}

func open(ring *envelope.Keyring, r *raw, m *ledger.Message) {
	header := r.message.Headers()
	m.Sequence, m.Subject, m.Body, m.Stored = r.sequence, r.message.Subject(), r.message.Data(), r.stored
	m.Header = ledger.EncodeHeader(header)
	m.Entry, m.SignedBy, m.Refused = envelope.Open(ring, m.Subject, header, m.Body, m.Sequence, m.Stored)
}

// ready is a batch that is ready to be written, or why there is none.
type ready struct {
	*ledger.Prepared
	err error
}

// prepare makes batches of what is opened, and makes each ready to be written while
// the one before is being written. It ends with the context, or after an error.
func (r *Recorder) prepare(ctx context.Context, at ledger.Checkpoint, in <-chan *chunk, out chan<- ready) {
	for {
		messages, ended := r.batch(ctx, at.Sequence, in)
		next := ready{err: ended}
		if len(messages) > 0 {
			if next.Prepared, next.err = r.ledger.Prepare(ctx, at, messages); next.err == nil {
				at = next.To()
			}
		}
		select {
		case out <- next:
		case <-ctx.Done():
			return
		}
		switch {
		case next.err != nil:
			return
		case ended != nil:
			select {
			case out <- ready{err: ended}:
			case <-ctx.Done():
			}
			return
		}
	}
}

// batch waits for one chunk and takes what else is there. Behind a stream that is
// far ahead it waits until the batch is full: more is on its way, and a full one
// costs little more than a small one. With an error nothing follows what it returns.
func (r *Recorder) batch(ctx context.Context, after uint64, in <-chan *chunk) (batch []ledger.Message, err error) {
	for more := true; more && len(batch) <= ledger.MaxBatch-chunkSize; {
		var c *chunk
		select {
		case c = <-in:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-c.opened:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		batch = append(batch, c.messages...)
		if c.err != nil {
			return batch, c.err
		}
		more = len(in) > 0 || r.behind(after+uint64(len(batch)), c.more())
	}
	return batch, nil
}

// behind reports whether so much follows a message that is wanted that a batch will
// be full.
func (r *Recorder) behind(sequence, follow uint64) bool {
	if r.limit > 0 {
		follow = min(follow, r.limit-sequence)
	}
	return follow >= ledger.MaxBatch
}
