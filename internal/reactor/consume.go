package reactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// Message is one delivery of a message on a stream.
type Message struct {
	Stream   string
	Sequence uint64
	Subject  string
	Header   nats.Header
	Data     []byte
	// Stored is when the server stored it.
	Stored time.Time
	// Delivery counts the deliveries of this message, from 1.
	Delivery int
}

// Consume hands every message of the durable to the function, until the context
// ends, and answers the server by what the function returns:
//
//	nil                  acknowledged
//	ErrUnprocessable     parked, and not delivered again
//	RetryAfter           delivered again after that time
//	any other error      delivered again after 1 s, 2 s, 4 s … 5 min
//	a panic              as an error, with a note on the stream PARKED
//
// While the function works, the server is told so. The function is called from
// several goroutines at once and may see a message more than once. Its context
// outlives the one given by Config.Drain, so that work can be finished.
//
// Consume waits for the durable to be made and never makes it. It returns nil when
// the context has ended and all work is done, and otherwise an error that wraps
// ErrNoDurable or the client's.
func Consume(ctx context.Context, js jetstream.JetStream, stream, durable string, cfg Config, handle func(context.Context, Message) error) error {
	cfg = cfg.complete()
	consumer, err := bind(ctx, js, stream, durable, cfg.Bind)
	if ctx.Err() != nil {
		return nil // The process is ending; nothing was taken yet.
	}
	if err != nil {
		return fmt.Errorf("consume %s as %s: %w", stream, durable, err)
	}
	if cfg.AckWait <= 0 {
		cfg.AckWait = consumer.CachedInfo().Config.AckWait
	}
	d := &delivery{
		js: js, stream: stream, durable: durable, cfg: cfg, handle: handle,
		metrics: newMetrics(cfg.Metrics), met: newMet(),
	}
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	working, abandon := outlive(ctx, cfg.Drain)
	defer abandon()
	errs := make(chan error, cfg.Workers)
	var workers sync.WaitGroup
	for range cfg.Workers {
		workers.Go(func() {
			if err := work(fetching, working, consumer, d); err != nil {
				errs <- err
				stop() // The others would only find the same.
			}
		})
	}
	workers.Wait()
	select {
	case err := <-errs:
		return fmt.Errorf("consume %s as %s: %w", stream, durable, err)
	default:
		return nil
	}
}

// bind finds the durable, waiting for the admin step where it must.
func bind(ctx context.Context, js jetstream.JetStream, stream, durable string, limit time.Duration) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		consumer, err := lookup(ctx, js, stream, durable)
		if err == nil {
			return consumer, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNoDurable, err)
		case <-ticker.C:
		}
	}
}

func lookup(ctx context.Context, js jetstream.JetStream, stream, durable string) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return js.Consumer(ctx, stream, durable)
}

// outlive returns a context with the values of the given one that ends a while
// after it.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() {
		unwatch()
		cancel()
	}
}

// work takes one message at a time. It asks for the next one only when it is free,
// because a message that waits in a buffer looks to the server as if its worker
// had died.
func work(fetching, working context.Context, consumer jetstream.Consumer, d *delivery) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(eventstore.MaxPullExpiry))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer giveBack(messages)
	for {
		msg, err := messages.Next(jetstream.NextContext(fetching))
		switch {
		case fetching.Err() != nil:
			if msg != nil {
				_ = msg.Nak() // Another process takes it; if this is lost, the server waits for ack_wait.
			}
			return nil
		case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
			return fmt.Errorf("%w: %w", ErrNoDurable, err)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return err
		case err != nil:
			// The connection or the leader is away, and the iterator asks again by itself. Or the durable
			// is: only who waits when it is deleted is told, and who asks afterwards is told nothing.
			if _, gone := lookup(fetching, d.js, d.stream, d.durable); errors.Is(gone, jetstream.ErrConsumerNotFound) {
				return fmt.Errorf("%w: %w", ErrNoDurable, gone)
			}
			slog.DebugContext(working, "no messages", slog.String("step", d.durable), slog.Any("error", err))
		default:
			d.deliver(working, msg)
		}
	}
}

// giveBack ends the iterator, and returns what had arrived in it meanwhile.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			break
		}
		_ = msg.Nak() // As above.
	}
	messages.Stop()
}
