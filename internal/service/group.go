package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// DefaultDrainTimeout bounds the way out of a service. Kubernetes kills after 30
// seconds by default; this leaves it time to collect the last log lines.
const DefaultDrainTimeout = 25 * time.Second

// readyEvery is how often a service that starts looks whether it is ready.
const readyEvery = 250 * time.Millisecond

var (
	// ErrEnded means that a part of a service ended although nobody asked it to.
	ErrEnded = errors.New("ended by itself")
	// ErrDrain means that parts of a service did not end in time.
	ErrDrain = errors.New("drain deadline passed")
)

// Group runs the parts of a service together and stops them in order.
type Group struct {
	health *Health
	drain  time.Duration
	parts  []*part
}

type part struct {
	name   string
	run    func(context.Context) error
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// NewGroup returns an empty group. At the end it first drains health, which may
// be nil, and then gives all parts together the time drain to stop; zero means
// DefaultDrainTimeout.
func NewGroup(health *Health, drain time.Duration) *Group {
	if drain == 0 {
		drain = DefaultDrainTimeout
	}
	return &Group{health: health, drain: drain}
}

// Add adds a part. run works until its context ends and then returns soon. Add
// what others depend on before them: the parts stop from the last to the first.
// All parts must be added before Run.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.parts = append(g.parts, &part{name: name, run: run, done: make(chan struct{})})
}

// Run runs all parts until ctx ends or one of them does, then stops them one by
// one and returns. It returns nil when ctx ended and every part stopped in time
// without an error; else what went wrong, with the names of the parts.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *part, len(g.parts))
	for _, p := range g.parts {
		// Each part has its own end: ctx ends for all at the same moment.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p.cancel = cancel
		go func() {
			defer cancel()
			p.err = p.run(own)
			close(p.done)
			ended <- p
		}()
	}
	telling, told := context.WithCancel(ctx)
	var ready sync.WaitGroup
	ready.Go(func() { g.tellReady(telling) })
	defer ready.Wait()
	defer told()
	var first *part
	select {
	case <-ctx.Done():
		slog.InfoContext(ctx, "draining", slog.Duration("deadline", g.drain))
	case first = <-ended:
		slog.ErrorContext(ctx, "a part of the service ended", slog.String("part", first.name), slog.Any("error", first.err))
	}
	if g.health != nil {
		g.health.Drain()
	}
	late := g.stop()
	return g.verdict(first, late)
}

// tellReady logs once when the service can work: what it says before is how it gets
// there.
func (g *Group) tellReady(ctx context.Context) {
	if g.health == nil {
		return
	}
	again := time.NewTicker(readyEvery)
	defer again.Stop()
	for {
		if g.health.Ready(ctx) == nil {
			slog.InfoContext(ctx, "ready")
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// stop ends the parts from the last to the first and returns the names of those
// that did not end. At the deadline all the others are told at once and get a
// tenth of the time more.
func (g *Group) stop() (late []string) {
	deadline := time.NewTimer(g.drain)
	defer deadline.Stop()
	for i := len(g.parts) - 1; i >= 0; i-- {
		g.parts[i].cancel()
		select {
		case <-g.parts[i].done:
			continue
		case <-deadline.C:
		}
		for _, p := range g.parts {
			p.cancel()
		}
		last, cancel := context.WithTimeout(context.Background(), g.drain/10)
		defer cancel()
		for _, p := range g.parts {
			select {
			case <-p.done:
			case <-last.Done():
			}
			// Asked again: when both hold, the choice above is a random one.
			select {
			case <-p.done:
			default:
				late = append(late, p.name)
			}
		}
		return late
	}
	return nil
}

// verdict joins what went wrong. Parts that are late may still run, so their
// errors are not touched.
func (g *Group) verdict(first *part, late []string) error {
	var errs []error
	if first != nil && first.err == nil {
		errs = append(errs, fmt.Errorf("%s: %w", first.name, ErrEnded))
	}
	for _, p := range g.parts {
		select {
		case <-p.done:
			if p.err != nil && !errors.Is(p.err, context.Canceled) {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
			}
		default:
		}
	}
	if len(late) > 0 {
		errs = append(errs, fmt.Errorf("%w: %v still run after %s", ErrDrain, late, g.drain))
	}
	return errors.Join(errs...)
}
