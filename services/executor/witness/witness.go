// Package witness remembers how far an executor has seen the record, so that a bus which is
// put back to an old copy of itself is noticed: an approval that was taken back since would
// count again there, and nothing on the bus tells.
//
// It keeps one mark: the epoch of the stream, and the sequence and the content of a message
// near its end. It looks when it begins, after every reconnect, and every ten seconds; where
// the stream still has the marked message it moves the mark to the stream's end, and writes
// it to a file. What is kept there it reads first and holds to the stream as well, for another
// executor may have kept it. That costs two to four requests in ten seconds and a write where
// something was recorded, however many releases there are. Before a claim one more request asks whether
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
	// overdueAfter is when it is said that no look was completed.
	overdueAfter = time.Minute
)

// rounds bounds how often a look begins again because another mark is kept than before.
const rounds = 10

// ErrStopped says that the executor does nothing until the stream is the one that it has
// seen, or a person has said that it is another one now.
var ErrStopped = errors.New("the record is not the one that this executor has seen")

// ErrOverdue says that no look was completed for a minute: the stream or the folder does not
// answer. The executor goes on by what it knows, and every claim asks the stream anyway.
var ErrOverdue = errors.New("nobody has looked for a minute whether the record is the one that was seen")

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
	unkept     prometheus.Gauge
	now        func() time.Time

	// looking lets one look at a time: whoever has put something into it, while the stream
	// and the folder answer.
	looking chan struct{}
	// state is replaced and never changed.
	state atomic.Pointer[state]
}

// state is what the newest look found.
type state struct {
	// mark is the furthest one that this executor has seen, or has learned of from another
	// one; nil: nothing was seen yet.
	mark *Mark
	// looked says that a look was completed over the connection of that count.
	looked     bool
	reconnects uint64
	at         time.Time // When; before the first look, when it began.
	// unkept is why the mark is not in the file.
	unkept error
	// why is nil where the stream is the one that was seen.
	why error
}

// New returns a witness that keeps its mark in that folder, which it makes where it is not
// there; with an empty one it forgets when the process ends. It reads the mark, and asks
// nobody yet. An error says that nothing can be kept in the folder.
func New(ctx context.Context, stream Stream, folder string, conn *nats.Conn, registerer prometheus.Registerer, now func() time.Time) (*Witness, error) {
	w := &Witness{
		stream: stream, now: now, looking: make(chan struct{}, 1),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_executor_stopped",
			Help: "1 where this executor does nothing for that reason, because the stream is not the one that it has seen.",
		}, []string{"reason"}),
		unkept: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "shipwarden_executor_mark_unkept",
			Help: "1 while what this executor has seen of the record cannot be kept in state_folder: it is forgotten when it ends.",
		}),
		reconnects: func() uint64 { return conn.Stats().Reconnects },
	}
	for _, label := range reasons {
		w.stopped.WithLabelValues(label).Set(0)
	}
	if registerer != nil {
		registerer.MustRegister(w.stopped, w.unkept)
	}
	first := &state{at: now()}
	if folder == "" {
		slog.WarnContext(ctx, "state_folder is not set: what this executor has seen of the record is forgotten when it ends, and an old copy of the bus is not noticed then")
		w.state.Store(first)
		return w, nil
	}
	var err error
	if w.file, err = openFile(ctx, folder); err != nil {
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
// wraps ErrStopped and says why, or ErrOverdue.
func (w *Witness) Ready(context.Context) error {
	s := w.state.Load()
	if s.why == nil && w.now().Sub(s.at) > overdueAfter {
		return ErrOverdue
	}
	return stoppedBy(s.why)
}

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
		// Beside the looks: it is one that does not come back that it is for.
		overdue := time.AfterFunc(overdueAfter, func() {
			slog.ErrorContext(ctx, "looking whether the record is the one that was seen does not come to an end", slog.Any("error", ErrOverdue))
		})
		defer overdue.Stop()
		for {
			err := w.Look(ctx)
			if err == nil || errors.Is(err, ErrStopped) {
				overdue.Reset(overdueAfter)
			}
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
	if s := w.state.Load(); s.why != nil || w.current(s) {
		return putOff(stoppedBy(s.why))
	}
	done, err := w.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	// Of many messages that wait after a reconnect one looks, and it holds for all.
	if s := w.state.Load(); s.why != nil || w.current(s) {
		return putOff(stoppedBy(s.why))
	}
	return putOff(w.look(ctx))
}

// current says that a look was completed over this connection.
func (w *Witness) current(s *state) bool { return s.looked && s.reconnects == w.reconnects() }

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
