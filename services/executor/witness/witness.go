// Package witness remembers how far an executor has seen the record, so that a bus which is
// put back to an old copy of itself is noticed: an approval that was taken back since would
// count again there, and nothing on the bus tells.
//
// It keeps one mark: the epoch of the stream, and the sequence and the content of a message
// near its end. It looks when it begins, after every reconnect, and every ten seconds; where
// the stream still has the marked message it moves the mark to the stream's end, and writes
// it to a file. That costs two or three requests in ten seconds and a write where something
// was recorded, however many releases there are. Before a claim one more request asks whether
// the marked message is still there.
//
// Where it is not, or another one is at its place, the executor does nothing: it starts
// nothing, takes nothing back and lets nothing go, for what targets carry by such a record is
// not what they carry. It goes on when the stream has the marked message again, because no
// other stream ever has, or when a person has said that this stream is the one that counts
// now (Replace). A leader of the stream that does not know yet that it is one no more may lack
// the message for a moment; that is over with it.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
)

// When it looks: while all is well, and while it is not.
const (
	lookEvery    = 10 * time.Second
	stoppedEvery = time.Second
	// comeAgain is after what time a message comes again that was put off.
	comeAgain = 5 * time.Second
)

// ErrStopped says that the executor does nothing until the stream is the one that it has
// seen, or a person has said that it is another one now.
var ErrStopped = errors.New("the record is not the one that this executor has seen")

// Why it does nothing; each comes wrapped in ErrStopped.
var (
	// ErrRegressed says that the stream lacks the marked message, or has another one.
	ErrRegressed = errors.New("the stream was put back to an earlier time, or lost what it had")
	// ErrEpoch says that it is another stream of the same name.
	ErrEpoch = errors.New("it is another stream")
	// ErrUnreadable says that nobody can tell what was seen.
	ErrUnreadable = errors.New("the mark cannot be read")
)

// reasons are the labels of the metric.
var reasons = map[error]string{ErrRegressed: "stream_regressed", ErrEpoch: "epoch_changed", ErrUnreadable: "mark_unreadable"}

// Stream is what is asked of the stream; *eventstore.Store answers it.
type Stream interface {
	Extent(ctx context.Context) (eventstore.Extent, error)
	Content(ctx context.Context, sequence uint64) (digest string, found bool, err error)
}

// Witness watches the stream for one executor. It is safe for concurrent use.
type Witness struct {
	stream Stream
	file   *file // nil: it remembers in memory alone
	// reconnects counts the connections after the first.
	reconnects func() uint64
	stopped    *prometheus.GaugeVec
	now        func() time.Time

	// looking lets one look at a time; it is held while the stream answers.
	looking sync.Mutex
	// state is replaced and never changed.
	state atomic.Pointer[state]
}

// state is what the newest look found.
type state struct {
	mark *Mark // nil: nothing was seen yet
	// looked says that a look was completed over the connection of that count.
	looked     bool
	reconnects uint64
	// why is nil where the stream is the one that was seen.
	why error
}

// New returns a witness that keeps its mark in that folder, which it makes where it is not
// there; with an empty one it forgets when the process ends. It reads the mark, and asks
// nobody yet. An error says that nothing can be kept in the folder.
func New(ctx context.Context, stream Stream, folder string, conn *nats.Conn, registerer prometheus.Registerer, now func() time.Time) (*Witness, error) {
	w := &Witness{
		stream: stream, now: now,
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_executor_stopped",
			Help: "1 where this executor does nothing for that reason, because the stream is not the one that it has seen.",
		}, []string{"reason"}),
		reconnects: func() uint64 { return conn.Stats().Reconnects },
	}
	for _, label := range reasons {
		w.stopped.WithLabelValues(label).Set(0)
	}
	if registerer != nil {
		registerer.MustRegister(w.stopped)
	}
	first := &state{}
	if folder == "" {
		slog.WarnContext(ctx, "state_folder is not set: what this executor has seen of the record is forgotten when it ends, and an old copy of the bus is not noticed then")
		w.state.Store(first)
		return w, nil
	}
	var err error
	if w.file, err = openFile(folder); err != nil {
		return nil, err
	}
	if first.mark, first.why, err = w.file.read(); err != nil {
		return nil, err
	}
	w.state.Store(first)
	switch {
	case first.why != nil:
		w.tell(ctx, first, nil)
	case first.mark == nil:
		slog.WarnContext(ctx, "this executor has seen nothing of the record yet, or has lost what it had seen: it begins with the stream as it is", slog.String("state_folder", folder))
	}
	return w, nil
}

// Ready returns nil while the stream is the one that was seen, and otherwise an error that
// wraps ErrStopped and says why.
func (w *Witness) Ready(context.Context) error { return stoppedBy(w.state.Load().why) }

func stoppedBy(why error) error {
	if why == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStopped, why)
}

// Run looks until the context ends.
func (w *Witness) Run(conn *nats.Conn) func(context.Context) error {
	return func(ctx context.Context) error {
		connected := conn.StatusChanged(nats.CONNECTED)
		defer conn.RemoveStatusListener(connected)
		for {
			err := w.Look(ctx)
			if err != nil && !errors.Is(err, ErrStopped) && ctx.Err() == nil {
				slog.WarnContext(ctx, "looking whether the record is the one that was seen failed", slog.Any("error", err))
			}
			again := lookEvery
			if err != nil {
				again = stoppedEvery
			}
			select {
			case <-ctx.Done():
				return nil
			case <-connected:
			case <-time.After(again):
			}
		}
	}
}

// Guard puts a step off while the stream is not the one that was seen, and until it was
// looked at over this connection.
func (w *Witness) Guard(step reactor.Step) reactor.Step {
	act := step.Act
	step.Act = func(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
		if err := w.allow(ctx); err != nil {
			return nil, err
		}
		return act(ctx, t)
	}
	return step
}

func (w *Witness) allow(ctx context.Context) error {
	s := w.state.Load()
	if s.why == nil && (!s.looked || s.reconnects != w.reconnects()) {
		if err := w.Look(ctx); err != nil {
			return putOff(err)
		}
		return nil
	}
	return putOff(stoppedBy(s.why))
}

// putOff has a message come again that the witness stands in the way of.
func putOff(err error) error {
	if errors.Is(err, ErrStopped) {
		return reactor.RetryAfter(comeAgain, err)
	}
	return err
}

// Claim is asked last before targets are claimed: whether the stream has the marked message
// still. It costs one request while all is well. An error puts the message off.
func (w *Witness) Claim(ctx context.Context) error {
	if err := w.allow(ctx); err != nil {
		return err
	}
	if mark := w.state.Load().mark; mark != nil && mark.Content != "" {
		content, found, err := w.stream.Content(ctx, mark.Sequence)
		if err != nil || found && content == mark.Content {
			return err
		}
	}
	return putOff(w.Look(ctx)) // Which says why, or that it was only moved on.
}

// Look compares the stream with the mark, and moves the mark to the stream's end. The error
// wraps ErrStopped where the stream is not the one that was seen; any other says nothing.
func (w *Witness) Look(ctx context.Context) error {
	w.looking.Lock()
	defer w.looking.Unlock()
	before := w.state.Load()
	now := &state{mark: before.mark, looked: true, reconnects: w.reconnects()}
	if before.why != nil && w.file != nil {
		// What a person has replaced since is what counts.
		var err error
		if now.mark, now.why, err = w.file.read(); err != nil {
			return err
		}
	}
	if now.why == nil {
		mark, why, err := compare(ctx, w.stream, now.mark, w.now())
		if err != nil {
			return err
		}
		now.why = why
		if why == nil {
			now.mark, now.why = w.keep(ctx, now.mark, mark)
		}
	}
	w.state.Store(now)
	w.tell(ctx, now, before)
	return stoppedBy(now.why)
}

// keep writes a mark that has moved. Where another executor has kept one in the same folder
// that goes further, or is of another stream, that one counts from now on.
func (w *Witness) keep(ctx context.Context, before, after *Mark) (*Mark, error) {
	if w.file == nil || after == nil || before != nil && *before == *after {
		return after, nil
	}
	kept, why, err := w.file.advance(after)
	if err != nil {
		slog.WarnContext(ctx, "what this executor has seen of the record could not be kept: it is remembered until it ends", slog.Any("error", err))
		return after, nil
	}
	if kept != nil && kept.Epoch != after.Epoch {
		why = fmt.Errorf("%w: it is %q, and an executor that shares the folder has seen %q", ErrEpoch, after.Epoch, kept.Epoch)
	}
	return kept, why
}

// tell says what has changed.
func (w *Witness) tell(ctx context.Context, now, before *state) {
	for err, label := range reasons {
		value := 0.0
		if errors.Is(now.why, err) {
			value = 1
		}
		w.stopped.WithLabelValues(label).Set(value)
	}
	was := before != nil && before.why != nil
	switch {
	case now.why != nil && !was:
		slog.ErrorContext(ctx, "this executor does nothing until the record is the one that it has seen, or a person has replaced what it has seen (shipwarden-executor witness)", slog.Any("error", now.why))
	case now.why == nil && was:
		slog.WarnContext(ctx, "the record is the one that this executor has seen, or what it has seen was replaced: it goes on", slog.Uint64("sequence", now.mark.sequence()))
	}
}
