package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout bounds one request to the server. It is short, because an
	// answer that was lost with its connection never comes, and because asking
	// again is harmless.
	requestTimeout = 2 * time.Second
	// provisionTimeout bounds one change of a stream or consumer, on which a
	// cluster has to agree first.
	provisionTimeout = 5 * time.Second
	// readTimeout bounds a read with its repetitions where the context has no
	// earlier end.
	readTimeout = 15 * time.Second
	minBackoff  = 5 * time.Millisecond
	maxBackoff  = 500 * time.Millisecond
)

// transient reports whether the stream may answer otherwise a moment later: while
// it has no leader, or is just being made.
func transient(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	if api.ErrorCode == codeNoPeers {
		// Servers that do not carry a demanded tag never will; one that has just
		// started counts as offline for a moment.
		return strings.Contains(api.Description, "offline")
	}
	return api.Code == http.StatusServiceUnavailable && api.ErrorCode != codeStoreFailed
}

// retried calls the function until it gives a definite answer, or the context or
// readTimeout ends. It then returns an error that wraps ErrUnavailable.
func retried[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return repeat(ctx, requestTimeout, call)
}

// repeat is retried with a time for each attempt; the context alone ends it.
func repeat[T any](ctx context.Context, each time.Duration, call func(context.Context) (T, error)) (T, error) {
	for attempt := 0; ; attempt++ {
		out, err := once(ctx, each, call)
		if err == nil || !transient(err) {
			return out, err
		}
		if pause(ctx, attempt) != nil {
			return out, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func once[T any](ctx context.Context, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx)
}

// pause waits before the next attempt, longer each time and never in step with
// other processes.
func pause(ctx context.Context, attempt int) error {
	wait := min(minBackoff<<min(attempt, 10), maxBackoff)
	wait = wait/2 + rand.N(wait) //nolint:gosec // Spreading attempts needs no secrecy.
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
