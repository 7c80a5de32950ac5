package check

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// series takes samples at the times of the window, from a number on, until enough
// says so, the window is over, or the context is done. A time that passed while the
// sample before it was under way is left out: nothing is counted twice, and nothing
// is made up for. What was being looked at when the context ended is not a sample.
func (r *run) series(ctx context.Context, from int, look func(context.Context) Observation, enough func([]Sample) bool) []Sample {
	var samples []Sample
	for number := from; number < r.window.len(); number++ {
		if !r.wait(ctx, r.window.at(number)) {
			return samples
		}
		number = max(number, r.window.latest(r.Clock.Now()))
		sample, ok := r.take(ctx, number, look)
		if !ok {
			return samples
		}
		samples = append(samples, sample)
		if enough(samples) {
			return samples
		}
	}
	return samples
}

// sampleCheck takes the samples of one check on one target, and ends the bake when
// they failed too often in a row.
func (r *run) sampleCheck(ctx context.Context, s Subject, c *releasev1.Check) []Sample {
	look := func(ctx context.Context) Observation { return r.probe(ctx, s, c) }
	first := r.window.skipped
	if settle := criterion.Settle(c); settle > 0 {
		first = max(first, r.window.first(r.plan.Release.since(s.Target.ID()).Add(settle)))
	}
	return r.series(ctx, first, look, func(samples []Sample) bool {
		if longestFailure(samples) < maxConsecutiveFailures(c) {
			return false
		}
		r.end(fmt.Sprintf("check %s failed %d times in a row on %s", c.GetName(), maxConsecutiveFailures(c), s.Target.ID()))
		return true
	})
}

// probe gives the check to the prober of its kind.
func (r *run) probe(ctx context.Context, s Subject, c *releasev1.Check) Observation {
	prober := r.Probers[criterion.Kind(c)]
	if prober == nil {
		return Observation{Outcome: Error, Detail: "this validator has nothing to make this kind of check with"}
	}
	if found := criterion.Faults(c); len(found) > 0 {
		return Observation{Outcome: Error, Detail: found[0].Field + ": " + found[0].Message}
	}
	names := r.plan.Release.names(s.Target.ID(), s.Digest)
	asked, err := criterion.Resolve(c, names)
	if err != nil {
		return Observation{Outcome: Error, Detail: err.Error()}
	}
	if named, ok := prober.(Named); ok {
		return named.ProbeNamed(ctx, s.Target, asked, names)
	}
	if dated, ok := prober.(Dated); ok {
		return dated.ProbeSince(ctx, s.Target, asked, r.plan.Release.since(s.Target.ID()))
	}
	seen := prober.Probe(ctx, s.Target, asked)
	if seen.Inspected == nil {
		return seen
	}
	known := r.plan.Release.known(s.Target.ID())
	seen.Inspected.tidy(asked, known)
	return JudgeInspected(asked, known, seen.Inspected)
}

// take takes one sample as soon as fewer than the allowed number are under way. It
// returns false when the context ended before the sample was complete.
func (r *run) take(ctx context.Context, number int, look func(context.Context) Observation) (Sample, bool) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return Sample{}, false
	}
	defer func() { <-r.slots }()
	begin := r.Clock.Now()
	seen := look(ctx)
	if ctx.Err() != nil {
		return Sample{}, false
	}
	return Sample{
		Number: number, Time: begin.UTC(), Took: r.Clock.Now().Sub(begin),
		Outcome: seen.Outcome, Detail: clean(seen.Detail), Measured: seen.Measured,
		Inspected: seen.Inspected, Counted: seen.Counted, Ran: seen.Ran,
	}, true
}

// wait waits until a time, and returns false when the context ended first.
func (r *run) wait(ctx context.Context, until time.Time) bool {
	left := until.Sub(r.Clock.Now())
	if left <= 0 {
		return ctx.Err() == nil
	}
	timer, stop := r.Clock.Timer(left)
	defer stop()
	select {
	case <-timer:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
