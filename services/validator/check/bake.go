package check

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// defaultParallel is how many looks one bake has under way at a time.
const defaultParallel = 32

// Subject is a target and the artifact that must run on it.
type Subject struct {
	Target *target.Target
	// Digest is the approved artifact, "sha256:…".
	Digest string
}

// Release is of what a bake looks at the deployment.
type Release struct {
	Service, Environment string
	// Began is when the wave of each target began, Was what it carried before, "sha256:…"; for
	// comparisons with a baseline.
	Began map[string]time.Time
	Was   map[string]string
	// Unchanged are the targets of the plan that no wave has changed yet, Earlier those of the
	// wave before, in the order of the plan.
	Unchanged, Earlier []string
	// Images are the digests of the images that were approved for each target; nil where that is
	// not known. Back is when the way back was over; zero on the way forth.
	Images map[string][]string
	Back   time.Time
	// Answers are what people had said before the verdict; for deriving it again.
	Answers map[string]Answer
}

// known is what is known of the release on a target.
func (r Release) known(target string) Known {
	k := Known{Images: r.Images[target], Since: r.Began[target]}
	if !r.Back.IsZero() {
		k.Since = r.Back
	}
	return k
}

// since is when the change began that a target is looked at after. Of a target that no wave has
// changed, which is looked at beside the release, it is that of the newest wave: then both are
// looked at over the same time.
func (r Release) since(target string) time.Time {
	if since := r.known(target).Since; !since.IsZero() {
		return since
	}
	var newest time.Time
	for _, began := range r.Began {
		if began.After(newest) {
			newest = began
		}
	}
	return newest
}

// names are what placeholders stand for on a target.
func (r Release) names(target, digest string) criterion.Names {
	return criterion.Names{Target: target, Service: r.Service, Environment: r.Environment, Digest: digest}
}

// Plan is what one bake is to look at.
type Plan struct {
	Release  Release
	Subjects []Subject
	Checks   []*releasev1.Check
	// Bake is how long the checks are repeated, Interval how often.
	Bake, Interval time.Duration
	// Start is when the window began, which is the same for every process that takes
	// the bake over, for instance the time of the event that asked for it. Zero means
	// now.
	Start time.Time
	// Disturbed finds what else was under way on a target in a span of time, other releases and
	// incidents of them. Nil means that nobody knows: then nothing is compared.
	Disturbed func(ctx context.Context, target string, from, to time.Time) ([]Disturbance, error)
	// Answers finds what people have said until now of the checks that ask them, by the checks' names.
	// Nil means that nobody is asked.
	Answers func(ctx context.Context) (map[string]Answer, error)
}

// Bake takes the samples of a plan. The zero value cannot probe anything, and finds
// every deployment inconclusive. It is safe for concurrent use.
type Bake struct {
	// Probers take the samples of each kind of check, by the kind's name (package
	// criterion).
	Probers map[string]Prober
	// Clock is the time to go by. Nil means the machine's.
	Clock Clock
	// Parallel is how many looks are under way at a time. Zero means 32.
	Parallel int
	// RunningDigest asks a target what it runs. Nil means target.RunningDigest.
	RunningDigest func(context.Context, *target.Target) (string, error)
}

// run is one bake under way.
type run struct {
	Bake
	plan   Plan
	window window
	slots  chan struct{}
	// crowded says that there is no room for the values of comparisons.
	crowded bool
	// end ends the sampling early; the first reason stays.
	end func(reason string)
	// heard is what was answered when it was last asked for.
	heard hearing
}

// Run takes samples until the bake time is over, or until it is clear that the
// deployment is bad: another artifact runs on a target, or a check failed too often
// in a row. It reports whatever was found, a pass being nothing but the absence of
// doubt. The only error is the context's: an interrupted bake has no result, and the
// process that runs it next with the same start goes on with the sample times that
// are left.
func (b Bake) Run(ctx context.Context, plan Plan) (Report, error) {
	if b.Clock == nil {
		b.Clock = SystemClock{}
	}
	if b.RunningDigest == nil {
		b.RunningDigest = func(ctx context.Context, t *target.Target) (string, error) { return t.RunningDigest(ctx) }
	}
	if b.Parallel <= 0 {
		b.Parallel = defaultParallel
	}
	var needed uint32
	for _, c := range plan.Checks {
		needed = max(needed, minSamples(c))
	}
	series := 1
	for _, c := range plan.Checks {
		series += weight(c)
	}
	series *= len(plan.Subjects)
	crowded := false
	if kept := plan.compared(); kept > 0 {
		// They take a part of the room; what is left is for the samples.
		crowded = kept > criterion.Room
		left := maxSamples - min(kept, criterion.Room)
		series = (series*maxSamples + left - 1) / left
	}
	started := b.Clock.Now()
	r := &run{
		Bake: b, plan: plan, slots: make(chan struct{}, b.Parallel), crowded: crowded,
		window: newWindow(plan.Start, started, plan.Bake, plan.Interval, series, int(needed)),
	}
	seen, ended, err := r.look(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("bake: %w", err)
	}
	return r.report(seen, ended, started), nil
}

// compared is how much of the room for samples the values of all comparisons take.
func (p Plan) compared() (all int) {
	for _, c := range p.Checks {
		_, others := p.Release.others(c.GetPrometheus().GetBaseline().GetKind(), "")
		all += criterion.RoomFor(c, p.Bake, len(others))
	}
	return all * len(p.Subjects)
}

// look takes all samples, in four parts: what runs at the beginning, the checks, what runs at
// the end, and the values that are compared. It returns them by subject, and why it ended early.
func (r *run) look(ctx context.Context) ([]*looks, string, error) {
	sampling, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu    sync.Mutex
		early string
	)
	r.end = func(reason string) {
		mu.Lock()
		defer mu.Unlock()
		if early == "" {
			early = reason
		}
		cancel()
	}
	seen := make([]*looks, len(r.plan.Subjects))
	for i, s := range r.plan.Subjects {
		seen[i] = &looks{subject: s, checks: make([][]Sample, len(r.plan.Checks)), compared: make([]*Comparison, len(r.plan.Checks))}
	}
	together(seen, func(l *looks) { r.askFirst(sampling, l) })
	if now := r.Clock.Now(); sampling.Err() == nil && r.window.worn(now) {
		r.window.restart(now) // Whoever asks what runs may be kept waiting for longer than the bake.
		for _, l := range seen {
			for i := range l.first {
				l.first[i].Number = r.window.skipped // What was told is told in the window that counts.
			}
		}
	}
	if sampling.Err() == nil {
		together(seen, func(l *looks) { r.sampleAll(sampling, l) })
	}
	if sampling.Err() == nil {
		together(seen, func(l *looks) { r.askLast(sampling, l) })
	}
	if sampling.Err() == nil {
		together(seen, func(l *looks) { r.compareAll(sampling, l) })
	}
	if err := r.takeAnswers(ctx, seen); err != nil {
		return nil, "", err
	}
	return seen, early, ctx.Err()
}

// sampleAll takes the samples of all checks on one target, each at its own pace, so
// that a target that answers slowly does not take the samples of another.
func (r *run) sampleAll(ctx context.Context, l *looks) {
	var group sync.WaitGroup
	for i, c := range r.plan.Checks {
		if criterion.AsksPeople(c) {
			group.Go(func() { r.awaitAnswer(ctx, c) })
			continue
		}
		group.Go(func() { l.checks[i] = r.sampleCheck(ctx, l.subject, c) })
	}
	group.Go(func() { r.askAgain(ctx, l) })
	group.Wait()
}

// together does the same for all targets at once, and waits.
func together(seen []*looks, do func(*looks)) {
	var group sync.WaitGroup
	for _, l := range seen {
		group.Go(func() { do(l) })
	}
	group.Wait()
}
