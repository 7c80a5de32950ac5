package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// Pauses after something was in the way.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
	// maxFailures is how often Until tries without getting any further.
	maxFailures = 20
)

// ErrStopped says that nothing more is recorded until a person has looked.
var ErrStopped = errors.New("recording is stopped")

// Recorder records the stream. Run is called once; the other methods may be called
// concurrently with it.
type Recorder struct {
	js      jetstream.JetStream
	source  source
	ring    *envelope.Keyring
	ledger  *ledger.Ledger
	metrics *metrics
	// recorded is told of every batch, after it is committed.
	recorded func(context.Context, ledger.Written)
	// limit is the last message that is wanted, 0 for no end.
	limit uint64
	// past is the end of the stream when an empty record began, 0 where there was a record;
	// owned by Run.
	past uint64
	now  func() time.Time
	// consumerName is that of the newest session, owned by Run.
	consumerName string

	mu      sync.Mutex
	stopped error
}

// New returns a recorder that writes to the ledger, which it has for itself.
// After every batch, recorded is called with what was touched; nil is allowed.
func New(
	js jetstream.JetStream, ring *envelope.Keyring, l *ledger.Ledger, registerer prometheus.Registerer,
	recorded func(context.Context, ledger.Written),
) *Recorder {
	if recorded == nil {
		recorded = func(context.Context, ledger.Written) {}
	}
	return &Recorder{
		js: js, source: source{js: js}, ring: ring, ledger: l,
		metrics: newMetrics(registerer), recorded: recorded, now: time.Now,
	}
}

// Run records until the context ends. Whatever is in the way, it tries again, but
// for what stops it: see the package comment. Stopped, it waits for the context.
func (r *Recorder) Run(ctx context.Context) error {
	pause := minPause
	for {
		started := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // The end of the context is why it failed.
		}
		if reason := reasonOf(err); reason != "" {
			r.stop(ctx, reason, err)
			<-ctx.Done()
			return nil
		}
		if errors.Is(err, ledger.ErrNotCurrent) || errors.Is(err, errInterrupted) {
			slog.InfoContext(ctx, "recording was interrupted", slog.Any("error", err))
		} else {
			slog.WarnContext(ctx, "recording failed, trying again", slog.Any("error", err))
		}
		r.metrics.interrupted.Inc()
		if pause *= 2; time.Since(started) > maxPause {
			pause = minPause
		}
		pause = min(pause, maxPause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // A pause need not be unpredictable.
		}
	}
}

// Until records up to the sequence and no further, and returns. It fails where the
// recorder would stop, and where nothing can be recorded several times in a row.
func (r *Recorder) Until(ctx context.Context, sequence uint64) error {
	r.limit = sequence
	defer r.leave(ctx)
	var err error
	for failed := 0; failed < maxFailures; failed++ {
		before := r.metrics.last.Load()
		if err = r.session(ctx); errors.Is(err, errReached) {
			return nil
		}
		if ctx.Err() != nil || reasonOf(err) != "" {
			break
		}
		if r.metrics.last.Load() > before {
			failed = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(minPause):
		}
	}
	return fmt.Errorf("record up to %d: %w", sequence, err)
}

func (r *Recorder) stop(ctx context.Context, reason string, err error) {
	r.mu.Lock()
	r.stopped = err
	r.mu.Unlock()
	r.metrics.stopped.WithLabelValues(reason).Set(1)
	slog.ErrorContext(ctx, "recording is stopped until a person has looked",
		slog.String("reason", reason), slog.Any("error", err))
}

// Ready returns nil while the recorder records, and an error that wraps ErrStopped
// and says why where it does not.
func (r *Recorder) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return fmt.Errorf("%w: %w", ErrStopped, r.stopped)
	}
	return nil
}

// End returns the last sequence of the stream, as its leader has it now.
func (r *Recorder) End(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, eventstore.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("look at stream %s: %w", eventstore.StreamEvents, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// End is where the stream ends, at a moment of its server's clock.
type End struct {
	Last uint64
	At   time.Time
}

// Look returns where the stream ends now, by its leader, after making sure that it is the
// one that is recorded. Its error wraps ErrStopped where nothing more is recorded.
func (r *Recorder) Look(ctx context.Context) (End, error) {
	if err := r.Ready(ctx); err != nil {
		return End{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	at, err := r.ledger.Checkpoint(ctx)
	if err != nil {
		return End{}, err
	}
	stream, err := r.js.Stream(ctx, eventstore.StreamEvents)
	if err != nil {
		return End{}, fmt.Errorf("look at stream %s: %w", eventstore.StreamEvents, err)
	}
	info := stream.CachedInfo()
	_, last, err := r.source.same(ctx, info, at)
	return End{Last: last, At: info.TimeStamp}, err
}

// StreamSequence is the newest sequence that was seen in the stream.
func (r *Recorder) StreamSequence() uint64 { return r.metrics.stream.Load() }
