package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

const (
	// hops is how many consumers pass a message on: one for each step.
	hops = 8
	// plainStream has the settings of REL, and its own name and subjects.
	plainStream = "PLAIN"
	// eventSize is that of an ordinary event.
	eventSize = 600
	// pull is how many messages one request asks for: what the durables allow.
	pull = 32
)

// chain is eight plain pull consumers, of which each publishes what it got for the
// next one: what the procedure would cost if nothing were done in it.
type chain struct {
	conn *nats.Conn
	js   jetstream.JetStream
	// publish stores one message.
	publish func(ctx context.Context, m *nats.Msg) error
	// ended gets the number of each message that passed the last hop.
	ended chan int
}

// newChain makes the stream and its consumers. With gather, what is published at the
// same time is stored as one atomic batch, as the event store does.
func newChain(ctx context.Context, conn *nats.Conn, gather bool) (*chain, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	cfg := eventstore.NewTopology(1, 1<<30).Streams[0]
	cfg.Name, cfg.Subjects, cfg.Metadata = plainStream, []string{"plain.>"}, nil
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		return nil, fmt.Errorf("make stream %s: %w", plainStream, err)
	}
	for i := 1; i <= hops; i++ {
		d := eventstore.NewDurable("hop-"+strconv.Itoa(i), "plain.*."+strconv.Itoa(i))
		if _, err := js.CreateConsumer(ctx, plainStream, d.Config); err != nil {
			return nil, fmt.Errorf("make consumer %d: %w", i, err)
		}
	}
	c := &chain{conn: conn, js: js, ended: make(chan int, 4096)}
	c.publish = func(ctx context.Context, m *nats.Msg) error {
		_, err := js.PublishMsg(ctx, m)
		return err
	}
	if gather {
		c.publish = (&batcher{conn: conn}).publish
	}
	return c, nil
}

// run passes messages on until the context ends, with so many in work at each hop.
func (c *chain) run(ctx context.Context, workers int) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	for i := 1; i <= hops; i++ {
		consumer, err := c.js.Consumer(ctx, plainStream, "hop-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		messages, err := consumer.Messages(jetstream.PullMaxMessages(pull))
		if err != nil {
			return err
		}
		wait.Go(func() { c.hop(ctx, i, messages, workers) })
	}
	<-ctx.Done()
	return nil
}

func (c *chain) hop(ctx context.Context, hop int, messages jetstream.MessagesContext, workers int) {
	defer messages.Stop()
	slots := make(chan struct{}, workers)
	var wait sync.WaitGroup
	defer wait.Wait()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			n, _ := strconv.Atoi(strings.Split(m.Subject(), ".")[1]) // We made the subject.
			if hop == hops {
				c.ended <- n
			} else if err := c.send(ctx, n, hop+1); err != nil {
				return // The context has ended: the round is over.
			}
			_ = m.Ack() // Lost with the stream at the end of the round.
		})
	}
}

var body = bytes.Repeat([]byte{'x'}, eventSize)

func (c *chain) send(ctx context.Context, n, hop int) error {
	m := nats.NewMsg(fmt.Sprintf("plain.%d.%d", n, hop))
	m.Data = body
	return c.publish(ctx, m)
}

func (c *chain) close(ctx context.Context) error { return c.js.DeleteStream(ctx, plainStream) }

// measurePlain passes messages through a chain for that time, so many in flight, and
// returns how many a second came through; then some one after the other, and how
// long each took.
func measurePlain(ctx context.Context, conn *nats.Conn, gather bool, inFlight int, round time.Duration, idle int) (float64, []time.Duration, error) {
	c, err := newChain(ctx, conn, gather)
	if err != nil {
		return 0, nil, err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.run(running, inFlight) }()
	rate, err := c.load(ctx, inFlight, round)
	var times []time.Duration
	for i := 0; err == nil && i < idle; i++ {
		began := time.Now()
		if err = c.send(ctx, -1-i, 1); err == nil {
			err = c.await(ctx, -1-i)
			times = append(times, time.Since(began))
		}
	}
	stop()
	return rate, times, errors.Join(err, <-done, c.close(context.WithoutCancel(ctx)))
}

func (c *chain) load(ctx context.Context, inFlight int, round time.Duration) (float64, error) {
	warm := round / 4
	over := time.Now().Add(warm + round)
	var sent atomic.Int64
	var wait sync.WaitGroup
	errs := make(chan error, inFlight)
	next := func() { wait.Go(func() { errs <- c.send(ctx, int(sent.Add(1)), 1) }) }
	for range inFlight {
		next()
	}
	counted, under := 0, inFlight
	from := time.Now().Add(warm)
	for under > 0 {
		select {
		case err := <-errs:
			if err != nil {
				return 0, err
			}
		case <-c.ended:
			now := time.Now()
			if now.After(from) && now.Before(over) {
				counted++
			}
			if now.Before(over) {
				next()
			} else {
				under--
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	wait.Wait()
	return float64(counted) / round.Seconds(), nil
}

func (c *chain) await(ctx context.Context, n int) error {
	for {
		select {
		case got := <-c.ended:
			if got == n {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
