package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// DefaultEvery is the interval where the configuration is silent.
const DefaultEvery = 5 * time.Minute

const (
	// patience bounds the look at one target; what its driver asks for comes on top.
	patience = time.Minute
	// atOnce is how many targets are looked at side by side.
	atOnce = 4
	// unseenAfter is how many looks in a row that nobody answers leave a target unseen.
	unseenAfter = 3
)

// Finding is what a look at a target found.
type Finding string

// What can be found.
const (
	// Same says that it carries what a release left there.
	Same Finding = "same"
	// Changed says that it does not.
	Changed Finding = "changed"
	// Busy says that a release holds it, or took or left it meanwhile.
	Busy Finding = "busy"
	// Nothing says that no release has left anything there that is known.
	Nothing Finding = "nothing"
	// Unknown says that the driver cannot tell.
	Unknown Finding = "unknown"
	// Failed says that it could not be looked at.
	Failed Finding = "failed"
)

var findings = []Finding{Same, Changed, Busy, Nothing, Unknown, Failed}

// Appender stores events; *eventstore.Store is one.
type Appender interface {
	Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error)
}

// Reconciler looks at the targets of one executor. It is safe for concurrent use.
type Reconciler struct {
	site  *site.Site
	store Appender
	every time.Duration
	now   func() time.Time

	looks   *prometheus.CounterVec
	changed *prometheus.GaugeVec
	unseen  *prometheus.GaugeVec

	mu     sync.Mutex
	failed map[string]int // Looks in a row that failed, by target.
}

// New returns a reconciler of the site's targets that looks every so often; 0 stands for
// DefaultEvery.
func New(s *site.Site, store Appender, every time.Duration, registerer prometheus.Registerer, now func() time.Time) *Reconciler {
	if every == 0 {
		every = DefaultEvery
	}
	r := &Reconciler{
		site: s, store: store, every: every, now: now, failed: map[string]int{},
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_target_looks_total",
			Help: "Looks at targets for what was changed without a release, by what was found.",
		}, []string{"found"}),
		changed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_target_changed",
			Help: "1 while a target carries what no release has left there.",
		}, []string{"target"}),
		unseen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_target_unseen",
			Help: "1 while the last three looks at a target for what was changed without a release failed.",
		}, []string{"target"}),
	}
	for _, f := range findings {
		r.looks.WithLabelValues(string(f))
	}
	for id := range s.Drivers {
		r.changed.WithLabelValues(id)
		r.unseen.WithLabelValues(id)
	}
	if registerer != nil {
		registerer.MustRegister(r.looks, r.changed, r.unseen)
	}
	return r
}

// Run looks at each target, once at the beginning and then every interval, until the context
// ends. One of which a look takes long keeps no other waiting: those that do have slots of their
// own.
func (r *Reconciler) Run(ctx context.Context) error {
	quick, slow := make(chan struct{}, atOnce), make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for id, d := range r.site.Drivers {
		slots := quick
		if _, patient := d.(driver.Patient); patient {
			slots = slow
		}
		all.Go(func() {
			for {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				r.tell(ctx, id)
				<-slots
				select {
				case <-ctx.Done():
					return
				case <-time.After(r.every):
				}
			}
		})
	}
	all.Wait()
	return nil
}

// tell looks at a target, and says in the log where that fails.
func (r *Reconciler) tell(ctx context.Context, id string) {
	if _, err := r.Look(ctx, id); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "a target could not be looked at for what was changed on it", slog.String("target", id), slog.Any("error", err))
	}
}

// Look looks at one target and puts on record what is new. The error says why the finding is
// Failed, and is nil otherwise.
func (r *Reconciler) Look(ctx context.Context, id string) (Finding, error) {
	limit := patience
	if p, ok := r.site.Drivers[id].(driver.Patient); ok {
		limit += p.Patience()
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found, err := r.look(bounded, id)
	if err != nil {
		found = Failed
	}
	if ctx.Err() == nil { // What ends with the executor says nothing of the target.
		r.count(id, found)
	}
	return found, err
}

func (r *Reconciler) look(ctx context.Context, id string) (Finding, error) {
	d, err := r.site.Driver(id)
	if err != nil {
		return Failed, err
	}
	// On an old copy of the bus targets carry what is not there yet.
	if r.site.Seen != nil {
		if err := r.site.Seen(ctx); err != nil {
			return Failed, err
		}
	}
	target, err := standing.ReadTarget(ctx, r.site.Store, id)
	if err != nil {
		return Failed, err
	}
	if held, err := queue.Held(ctx, r.site.Store, id, target, ""); err != nil || held {
		return Busy, err
	}
	left := target.State.GetDeployed()
	if left.GetRelease() == "" || target.State.GetUnknownSince() != "" {
		return Nothing, nil
	}
	running, differences, err := inspect(ctx, d, target.State.GetMark())
	if now, again := standing.ReadTarget(ctx, r.site.Store, id); again != nil || now.Expect != target.Expect {
		return Busy, again
	}
	switch {
	case errors.Is(err, driver.ErrUnknown) || err == nil && running == "" && d.Class() == releasev1.DriverClass_DRIVER_CLASS_OPAQUE:
		return Unknown, nil
	case err != nil:
		return Failed, err
	}
	found := Same
	if running != left.GetDigest() || len(differences) > 0 {
		found = Changed
	}
	return found, r.record(ctx, id, left, running, differences)
}

// inspect asks the driver. That the target carries what is no release is an answer, and so is that
// it remembers less than the record says.
func inspect(ctx context.Context, d driver.Driver, mark string) (running string, differences []string, err error) {
	running, err = d.Running(ctx)
	if errors.Is(err, driver.ErrConflict) {
		return "", []string{"what it carries is no release"}, nil
	}
	if i, ok := d.(driver.Inspector); ok && err == nil {
		differences, err = i.Inspect(ctx)
	}
	if m, ok := d.(driver.Marked); ok && err == nil && mark != "" {
		if err = m.Remembers(ctx, mark); errors.Is(err, driver.ErrConflict) {
			differences, err = append(differences, err.Error()), nil
		}
	}
	slices.Sort(differences)
	return running, differences, err
}

// record appends what is new. Whoever looked at the same time and was first has said it.
func (r *Reconciler) record(ctx context.Context, id string, left *releasev1.Deployment, running string, differences []string) error {
	h, err := r.site.Store.Load(ctx, procedure.Aggregate(left.GetRelease()))
	if err != nil {
		return fmt.Errorf("look at release %s: %w", left.GetRelease(), err)
	}
	event := procedure.DecideUnrecordedChange(h.State, id, running, differences)
	if event == nil {
		return nil
	}
	task := reactor.Task{State: h.State, History: h, Now: r.now()}
	if n := len(h.Entries); n > 0 {
		task = task.NotBefore(h.Entries[n-1].Stored)
	}
	_, err = r.store.Append(ctx, task.Draft(event))
	if errors.Is(err, eventstore.ErrSequenceConflict) {
		return nil // The next look sees what the release is then.
	}
	if err != nil {
		return fmt.Errorf("put on record what was changed on target %s: %w", id, err)
	}
	if event.GetUnrecordedChange().GetGone() {
		slog.InfoContext(ctx, "a target is as the record says again", slog.String("target", id), slog.String("release", left.GetRelease()))
		return nil
	}
	slog.ErrorContext(ctx, "a target was changed and no release did it", slog.String("target", id), slog.String("release", left.GetRelease()),
		slog.String("carries", running), slog.Int("differences", len(differences)))
	return nil
}

func (r *Reconciler) count(id string, found Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks.WithLabelValues(string(found)).Inc()
	switch found {
	case Failed:
		r.failed[id]++
		if r.failed[id] >= unseenAfter {
			r.unseen.WithLabelValues(id).Set(1)
		}
		return
	case Same, Nothing:
		r.changed.WithLabelValues(id).Set(0)
	case Changed:
		r.changed.WithLabelValues(id).Set(1)
	case Busy, Unknown:
	}
	r.failed[id] = 0
	r.unseen.WithLabelValues(id).Set(0)
}
