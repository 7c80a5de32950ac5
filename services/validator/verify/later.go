package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

const (
	// asksEvery is how long after a round the next one begins.
	asksEvery = 15 * time.Second
	// looksAtOnce is how many releases are looked at side by side. A look waits for most of its time.
	looksAtOnce = 32
	// A clock that is so far ahead of the server's, or behind it, says of no look that it is due:
	// its events would not count.
	clockAhead, clockBehind = 4 * time.Second, 9 * time.Minute
)

// errClock says that the machine's clock is wrong.
var errClock = errors.New("the clock of this machine is too far from that of the bus")

// Record is the stream, as far as later looks need it; *eventstore.Store is one.
type Record interface {
	Histories
	queue.Store
	Clock(ctx context.Context) (time.Time, error)
	Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error)
}

// Later looks again at releases that were verified, on the schedule of their procedure document:
// as long as a target that this validator can look at carries one (PD-6.1). What it finds goes into
// the history of that release. It is safe for concurrent use.
//
// A round costs one read of the newest event of every target and one of the history of the
// release that it carries, however many releases there were before.
type Later struct {
	shell
	record Record
	now    func() time.Time

	looks   *prometheus.CounterVec
	revoked *prometheus.GaugeVec

	slots chan struct{}
	mu    sync.Mutex
	// under are the releases that are looked at just now, said the newest look of each that this
	// process has put on record, and begun when it last began one.
	under map[string]bool
	said  map[string]uint32
	begun map[string]time.Time
}

// NewLater returns what looks again at releases on these targets. The arguments are those of New.
func NewLater(procedures Procedures, bake check.Bake, targets map[string]*target.Target, blobs Blobs, record Record, registerer prometheus.Registerer, now func() time.Time) *Later {
	l := &Later{
		shell: shell{procedures, bake, targets, blobs, record}, record: record, now: now,
		slots: make(chan struct{}, looksAtOnce), under: map[string]bool{}, said: map[string]uint32{}, begun: map[string]time.Time{},
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_later_looks_total",
			Help: "Looks at releases after they were verified, by what was seen; of those that failed also the rounds in which nobody knew what is due.",
		}, []string{"seen"}),
		revoked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_verification_revoked",
			Help: "1 while a target carries a release that was verified and failed its checks later.",
		}, []string{"target"}),
	}
	for _, s := range []Seen{SeenPassed, SeenFailed, SeenInconclusive, SeenBusy, SeenNothing, SeenError} {
		l.looks.WithLabelValues(string(s))
	}
	for id := range targets {
		l.revoked.WithLabelValues(id)
	}
	if registerer != nil {
		registerer.MustRegister(l.looks, l.revoked)
	}
	return l
}

// Run looks again whenever a look is due, until the context ends.
func (l *Later) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	for {
		if err := l.round(ctx, &looking); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "it is not known which releases are to be looked at again", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(asksEvery):
		}
	}
}

// Round looks again at every release of which a look is due, and waits until that is done.
func (l *Later) Round(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	return l.round(ctx, &looking)
}

// round is one round. One that failed is counted: what is due nobody knows then, and nobody looks.
func (l *Later) round(ctx context.Context, looking *sync.WaitGroup) error {
	err := l.beginDue(ctx, looking)
	if err != nil && ctx.Err() == nil {
		l.looks.WithLabelValues(string(SeenError)).Inc()
	}
	return err
}

// beginDue begins the looks that are due. One that does not begin because of others is due in the
// next round, too.
func (l *Later) beginDue(ctx context.Context, looking *sync.WaitGroup) error {
	at, err := l.clock(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	carries := map[string]string{} // What release each target carries.
	for _, id := range slices.Sorted(maps.Keys(l.targets)) {
		t, err := standing.ReadTarget(ctx, l.record, id)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		carries[id] = left(t)
	}
	states := map[string]procedure.State{"": {}}
	for id, release := range carries {
		if _, known := states[release]; !known {
			h, err := l.record.Load(ctx, procedure.Aggregate(release))
			if err != nil {
				wrong = append(wrong, fmt.Errorf("read release %s: %w", release, err))
				continue
			}
			states[release] = h.State
		}
		l.revoked.WithLabelValues(id).Set(map[bool]float64{true: 1}[states[release].Later.Revoked != nil])
	}
	l.forget(states)
	for _, release := range l.order(states) {
		if number, _, due := procedure.LookDue(states[release], at); due && l.begin(release, number, at) {
			looking.Go(func() {
				defer l.end(release)
				if _, err := l.Look(ctx, release, at); err != nil && ctx.Err() == nil {
					slog.WarnContext(ctx, "a release could not be looked at again", slog.String("release", release), slog.Any("error", err))
				}
			})
		}
	}
	return errors.Join(wrong...)
}

// forget lets go of what is known of releases that no target carries any more.
func (l *Later) forget(carried map[string]procedure.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.said, func(release string, _ uint32) bool { _, there := carried[release]; return !there })
	maps.DeleteFunc(l.begun, func(release string, _ time.Time) bool { _, there := carried[release]; return !there })
}

// order has first those releases at which this process looked longest ago, or not at all: with more
// that are due than there are slots, each has its turn, whatever becomes of the looks of others.
func (l *Later) order(states map[string]procedure.State) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(states), func(a, b string) int {
		return cmp.Or(l.begun[a].Compare(l.begun[b]), cmp.Compare(a, b))
	})
}

// clock is what the server's clock shows: by a clock of one's own that was set back or forth
// looks would be due that are not.
func (l *Later) clock(ctx context.Context) (time.Time, error) {
	at, err := l.record.Clock(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", err)
	}
	if off := l.now().Sub(at); off > clockAhead || off < -clockBehind {
		return time.Time{}, fmt.Errorf("%w: by %s", errClock, off.Round(time.Second))
	}
	return at, nil
}

// begin takes one of the slots for a look at the release, which is then nobody else's here.
func (l *Later) begin(release string, number uint32, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under[release] || l.said[release] >= number {
		return false
	}
	select {
	case l.slots <- struct{}{}:
		l.under[release], l.begun[release] = true, at
		return true
	default:
		return false
	}
}

func (l *Later) end(release string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.under, release)
	<-l.slots
}
