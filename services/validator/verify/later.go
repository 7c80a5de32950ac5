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
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

const (
	// asksEvery is how long after a round the next one begins.
	asksEvery = 15 * time.Second
	// looksAtOnce is how many releases are looked at side by side. A look waits for most of its time.
	looksAtOnce = 32
	// lookPatience is what a look may take beside the time that it lasts.
	lookPatience = 5 * time.Minute
	// A clock that is so far ahead of the server's, or behind it, says of no look that it is due:
	// its events would not count.
	clockAhead, clockBehind = 4 * time.Second, 9 * time.Minute
	// appendTries is how often a look is put on record while others write.
	appendTries = 5
)

// Seen is what a later look at a release came to.
type Seen string

// What it can come to.
const (
	// SeenPassed says that every check passed.
	SeenPassed Seen = "passed"
	// SeenFailed says that one failed: the release is verified no more.
	SeenFailed Seen = "failed"
	// SeenInconclusive says that none failed, and that some have no verdict.
	SeenInconclusive Seen = "inconclusive"
	// SeenBusy says that another release holds a target, or took or left one meanwhile.
	SeenBusy Seen = "busy"
	// SeenNothing says that no look is due, that nothing is left to look at, or that another
	// validator was first.
	SeenNothing Seen = "nothing"
	// SeenError says that nothing could be put on record.
	SeenError Seen = "error"
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

// left is the release that a target carries, "" where none is known.
func left(t standing.Target) string {
	if t.State.GetUnknownSince() != "" {
		return ""
	}
	return t.State.GetDeployed().GetRelease()
}

// Look looks at a release where a look is due at that time, and puts on record what was seen.
// The error says why that is SeenError, and is nil otherwise.
func (l *Later) Look(ctx context.Context, release string, at time.Time) (Seen, error) {
	seen, err := l.look(ctx, release, at)
	if err != nil {
		seen = SeenError
	}
	if ctx.Err() == nil {
		l.looks.WithLabelValues(string(seen)).Inc()
	}
	return seen, err
}

func (l *Later) look(ctx context.Context, release string, at time.Time) (Seen, error) {
	h, err := l.record.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return SeenError, fmt.Errorf("read release %s: %w", release, err)
	}
	state := h.State
	number, due, is := procedure.LookDue(state, at)
	if !is {
		return SeenNothing, nil
	}
	index, err := l.procedures.ByDigest(ctx, state.ProcedureDigest)
	if err != nil {
		return SeenError, err
	}
	checks := index.LaterChecks(state)
	on, held, err := l.carried(ctx, state)
	switch {
	case err != nil:
		return SeenError, err
	case held:
		return SeenBusy, nil
	case len(on) == 0 || len(checks) == 0:
		return SeenNothing, nil
	}
	look := procedure.NewLook(number, due, slices.Sorted(maps.Keys(on)))
	plan, unseen := l.laterPlan(state, checks, look.GetTargets())
	bounded, cancel := context.WithTimeout(ctx, plan.Bake+lookPatience)
	defer cancel()
	report, err := l.bake.Run(bounded, plan)
	if err != nil {
		return SeenError, err
	}
	if err := failpoint.Hit("verify.judged"); err != nil {
		return SeenError, err
	}
	v := withUnseen(report.Verification, unseen)
	look.Started, look.Ended = v.GetStarted(), v.GetEnded()
	// What was seen while a release took or left a target is not about this one.
	if now, held, err := l.carried(ctx, state); err != nil || held || !maps.Equal(now, on) {
		return SeenBusy, err
	}
	samples, unkept, unkeptErr := evidence.Keep(ctx, l.blobs, check.MediaType, fmt.Sprintf("samples of look %d at %s", number, release), report.Document)
	if unkeptErr != nil && unkept == nil {
		return SeenError, fmt.Errorf("keep the samples: %w", unkeptErr)
	}
	look.Samples = samples
	event := procedure.DecideLaterLook(look, v)
	if unkept != nil {
		// A failure is told at once. That all is well nobody says without what shows it.
		if event.Unkept = []*releasev1.UnkeptEvidence{unkept}; !state.Urgent() && procedure.LetsPass(event) {
			return SeenError, fmt.Errorf("keep the samples: %w", unkeptErr)
		}
	}
	if err := failpoint.Hit("verify.kept"); err != nil {
		return SeenError, err
	}
	return l.say(ctx, release, look, event)
}

// carried are the targets that carry the release still, with the sequence of the newest event of
// each; held says that another release has one of them.
func (l *Later) carried(ctx context.Context, state procedure.State) (on map[string]uint64, held bool, err error) {
	on = map[string]uint64{}
	for _, id := range state.Touched {
		t, err := standing.ReadTarget(ctx, l.record, id)
		if err != nil {
			return nil, false, err
		}
		if left(t) != state.Release {
			continue
		}
		if held, err := queue.Held(ctx, l.record, id, t, state.Release); err != nil || held {
			return nil, held, err
		}
		on[id] = t.Expect
	}
	return on, false, nil
}

// say appends what was seen. Whoever looked at the same time and was first has said it; other
// events of the release are no reason to look once more.
func (l *Later) say(ctx context.Context, release string, look *releasev1.LaterLook, event *releasev1.Event) (Seen, error) {
	for range appendTries {
		h, err := l.record.Load(ctx, procedure.Aggregate(release))
		if err != nil {
			return SeenError, fmt.Errorf("read release %s: %w", release, err)
		}
		if h.State.Later.Number >= look.GetNumber() || h.State.Later.Revoked != nil {
			return SeenNothing, nil
		}
		task := reactor.Task{State: h.State, History: h, Now: l.now()}
		if n := len(h.Entries); n > 0 {
			task = task.NotBefore(h.Entries[n-1].Stored)
		}
		_, err = l.record.Append(ctx, task.Draft(event))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return SeenError, fmt.Errorf("put on record what was seen of release %s: %w", release, err)
		}
		l.mu.Lock()
		l.said[release] = look.GetNumber()
		l.mu.Unlock()
		switch {
		case event.GetVerificationRevoked() != nil:
			slog.ErrorContext(ctx, "a release that was verified fails its checks", slog.String("release", release), slog.Any("checks", procedure.FailedLater(look)))
			return SeenFailed, nil
		case event.GetReverified().GetInconclusive():
			return SeenInconclusive, nil
		}
		return SeenPassed, nil
	}
	return SeenError, fmt.Errorf("put on record what was seen of release %s: %w", release, eventstore.ErrSequenceConflict)
}

// laterPlan says what a later look looks at. It takes as many samples as the bake did, closer to
// each other where it is shorter: the rules of the checks are about numbers of samples.
func (s shell) laterPlan(state procedure.State, checks []*releasev1.Check, targets []string) (check.Plan, []*releasev1.CheckResult) {
	v, lasts := state.Request.GetValidation(), procedure.LookLasts(state)
	plan := check.Plan{Release: of(state), Checks: checks, Bake: lasts, Interval: v.GetInterval().AsDuration()}
	if bake := v.GetBake().AsDuration(); lasts < bake {
		plan.Interval = max(time.Duration(float64(plan.Interval)*float64(lasts)/float64(bake)), time.Millisecond)
	}
	var unseen []*releasev1.CheckResult
	for _, id := range targets {
		place, ok := s.targets[id]
		if !ok {
			unseen = append(unseen, notSeen(id, checks)...)
			continue
		}
		plan.Subjects = append(plan.Subjects, check.Subject{Target: place, Digest: approved(state, id)})
	}
	return plan, unseen
}

// RejudgeLater derives a later look again from the samples that were kept of it (N-01). It is pure.
// Which targets carried the release then, and which had no address, is taken as it is recorded.
func RejudgeLater(index *policy.Index, state procedure.State, samples []byte, recorded *releasev1.LaterLook) (*releasev1.Event, error) {
	all := index.LaterChecks(state)
	var looked []check.Approved
	var unseen []*releasev1.CheckResult
	for _, id := range recorded.GetTargets() {
		if check.Holds(samples, id) {
			looked = append(looked, check.Approved{Target: id, Digest: approved(state, id)})
			continue
		}
		unseen = append(unseen, notSeen(id, all)...)
	}
	v, err := check.Rejudge(samples, of(state), all, looked)
	if err != nil {
		return nil, fmt.Errorf("samples %s: %w", recorded.GetSamples().GetDigest(), err)
	}
	look := procedure.NewLook(recorded.GetNumber(), recorded.GetDue().AsTime(), recorded.GetTargets())
	look.Started, look.Ended, look.Samples = timestamppb.New(v.GetStarted().AsTime()), timestamppb.New(v.GetEnded().AsTime()), recorded.GetSamples()
	return procedure.DecideLaterLook(look, withUnseen(v, unseen)), nil
}
