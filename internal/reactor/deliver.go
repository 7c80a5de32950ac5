package reactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/exemplar"
	"github.com/blackdice/shipwarden/internal/failpoint"
)

const (
	// ackTimeout bounds the wait for the server's word on an acknowledgment.
	ackTimeout = 5 * time.Second
	// stuckAfter is after how many failures on one message, in one process, people are
	// told of it.
	stuckAfter = 8
	// minDelay and maxDelay bound the time until a failed message comes again.
	minDelay = time.Second
	maxDelay = 5 * time.Minute
)

// delivery answers the server for the messages of one durable.
type delivery struct {
	js      jetstream.JetStream
	stream  string
	durable string
	cfg     Config
	handle  func(context.Context, Message) error
	metrics *metrics
	met     *met
}

// deliver works on one message and answers the server.
func (d *delivery) deliver(ctx context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		slog.ErrorContext(ctx, "message has no place in a stream", slog.String("step", d.durable), slog.Any("error", err))
		_ = msg.Nak() // It did not come from JetStream; there is nobody to tell.
		return
	}
	m := Message{
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(),
		Stored: meta.Timestamp, Delivery: int(meta.NumDelivered), //nolint:gosec // Deliveries are few.
	}
	stop := d.heartbeat(ctx, msg)
	defer stop()
	started := d.cfg.Now()
	before := d.met.meet(m.Sequence)
	if d.deadly(m, before, started) {
		// Before the attempt: afterwards nobody may be there to say so.
		d.note(ctx, m, noteStuck, fmt.Errorf("delivered %d times, of which this process saw %d", m.Delivery, before.seen+1))
	}
	err = d.call(ctx, m)
	result := d.answer(ctx, msg, m, before.failed, err)
	exemplar.Observe(d.metrics.duration.WithLabelValues(d.durable, result), d.cfg.Now().Sub(started).Seconds(), exemplar.Of(m.Subject))
	d.metrics.deliveries.WithLabelValues(d.durable, result).Inc()
}

// deadly reports whether the message may be one that ends the process: there were
// deliveries that this process did not see, and each may have ended with its process.
// The server waits for ack_wait before it gives such a message to another one, so that
// what comes sooner was given back by somebody who was alive.
func (d *delivery) deadly(m Message, before past, now time.Time) bool {
	unseen := m.Delivery - 1 - before.seen
	return unseen >= stuckAfter && now.Sub(m.Stored) >= time.Duration(unseen)*d.cfg.AckWait
}

func (d *delivery) call(ctx context.Context, m Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
			slog.ErrorContext(ctx, "step panicked", slog.String("step", d.durable), slog.Uint64("sequence", m.Sequence),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := failpoint.Hit("step.before"); err != nil {
		return err
	}
	return d.handle(ctx, m)
}

// answer tells the server what became of the message, and returns that in a word.
func (d *delivery) answer(ctx context.Context, msg jetstream.Msg, m Message, failures int, err error) string {
	var later *retryAfter
	switch {
	case err == nil:
		d.met.forget(m.Sequence)
		failpoint.At("step.before-ack")
		d.acknowledge(ctx, msg, m)
		failpoint.At("step.after-ack")
		return "acknowledged"
	case errors.Is(err, ErrUnprocessable):
		if !d.note(ctx, m, noteDropped, err) {
			d.met.fail(m.Sequence)
			d.again(ctx, msg, m, backoff(failures), err)
			return "failed"
		}
		d.met.forget(m.Sequence)
		if err := msg.TermWithReason(err.Error()); err != nil {
			d.log(ctx, slog.LevelWarn, "message was parked but not terminated", m, err)
		}
		return "parked"
	case ctx.Err() != nil:
		// Time to drain is over: let another process have it at once.
		if err := msg.Nak(); err != nil {
			d.log(ctx, slog.LevelWarn, "message was not given back", m, err)
		}
		return "returned"
	case errors.As(err, &later):
		d.again(ctx, msg, m, later.after, err)
		return "put_off"
	case errors.Is(err, errPanic):
		d.met.fail(m.Sequence)
		d.note(ctx, m, noteStuck, err)
		d.again(ctx, msg, m, backoff(failures), err)
		return "panicked"
	case failures+1 >= stuckAfter:
		d.met.fail(m.Sequence)
		d.note(ctx, m, noteStuck, err)
		d.again(ctx, msg, m, jitter(maxDelay), err)
		return "stuck"
	default:
		d.met.fail(m.Sequence)
		d.again(ctx, msg, m, backoff(failures), err)
		return "failed"
	}
}

// acknowledge waits for the server's word. Where that does not come, the message
// comes again, finds nothing due and is acknowledged then.
func (d *delivery) acknowledge(ctx context.Context, msg jetstream.Msg, m Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackTimeout)
	defer cancel()
	if err := msg.DoubleAck(ctx); err != nil {
		d.log(ctx, slog.LevelInfo, "acknowledgment was not confirmed", m, err)
	}
}

func (d *delivery) again(ctx context.Context, msg jetstream.Msg, m Message, after time.Duration, cause error) {
	d.log(ctx, slog.LevelWarn, "message will be delivered again", m, cause, slog.Duration("after", after))
	if err := msg.NakWithDelay(after); err != nil {
		d.log(ctx, slog.LevelWarn, "message was not put off", m, err)
	}
}

// heartbeat tells the server that work goes on, until the function returned is
// called. After that nothing is sent any more.
func (d *delivery) heartbeat(ctx context.Context, msg jetstream.Msg) func() {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(max(d.cfg.AckWait/3, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if err := msg.InProgress(); err != nil {
					slog.DebugContext(ctx, "heartbeat was not sent", slog.String("step", d.durable), slog.Any("error", err))
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (d *delivery) log(ctx context.Context, level slog.Level, text string, m Message, err error, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String("step", d.durable), slog.String("subject", m.Subject), slog.Uint64("sequence", m.Sequence),
		slog.Int("delivery", m.Delivery), slog.Any("error", err),
	}, more...)
	slog.LogAttrs(ctx, level, text, attrs...) //nolint:sloglint // The texts are literals where this is called.
}

// backoff is the time until the next attempt after so many failures before.
func backoff(failures int) time.Duration {
	return jitter(min(minDelay<<min(failures, 16), maxDelay))
}

// jitter spreads a time by a fifth to both sides, so that what failed together
// does not come again together.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5) //nolint:gosec // Spreading needs no secrecy.
}
