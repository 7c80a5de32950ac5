package check

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// What may disturb a baseline.
const (
	// ReleaseUnderWay is another release that held the target.
	ReleaseUnderWay = "release"
	// IncidentUnderWay is an open incident of another release that changed it.
	IncidentUnderWay = "incident"
)

// compareTime bounds how long it takes to ask for all sides of one comparison once, and for what
// else was under way, so that a source that answers each question just in time does not hold the
// release.
const compareTime = time.Minute

// Comparer is a prober that can ask for all values of a span.
type Comparer interface {
	// Values asks for the values of a check from a time to another, a step apart, and when the
	// samples were taken that they rest on, as values in seconds. The check has everything in
	// place of its placeholders. The error says nothing secret.
	Values(ctx context.Context, c *releasev1.Check, from, to time.Time, step time.Duration) (values, sampled []metrics.Series, err error)
}

// compareAll compares the values of all checks on one target that have a baseline, when the bake
// is over. Who looks again and again finds a difference by chance: it is looked at once.
func (r *run) compareAll(ctx context.Context, l *looks) {
	var group sync.WaitGroup
	for i, c := range r.plan.Checks {
		if c.GetPrometheus().GetBaseline() != nil {
			group.Go(func() { l.compared[i] = r.compare(ctx, l.subject, c) })
		}
	}
	group.Wait()
}

// compare compares the values of one check on one target; a few times where there is no outcome.
// It returns nil where the context ended first.
func (r *run) compare(ctx context.Context, s Subject, c *releasev1.Check) *Comparison {
	for try := 1; ; try++ {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		compared := r.ask(ctx, s, c)
		<-r.slots
		if ctx.Err() != nil {
			return nil
		}
		compared.Tries = try
		if compared.Outcome != Error || try == lastTries || !r.wait(ctx, r.Clock.Now().Add(min(r.window.interval, lastPause))) {
			compared.Sum = compared.sum()
			return compared
		}
	}
}

// ask asks for both sides, and judges.
func (r *run) ask(ctx context.Context, s Subject, c *releasev1.Check) *Comparison {
	asked := r.Clock.Now().UTC()
	out, err := layout(r.plan.Release, c, s.Target.ID(), s.Digest, r.window.start, r.window.end())
	out.Asked, out.URL = asked, r.place(out.Source)
	comparer, ok := r.Probers[kindPrometheus].(Comparer)
	found := criterion.Faults(c)
	switch {
	case err != nil:
	case len(found) > 0:
		err = errors.New(found[0].Field + ": " + found[0].Message)
	case r.crowded:
		err = errors.New("there is no room to keep so many values")
	case !ok:
		err = errors.New("this validator has nothing to compare with")
	}
	if err != nil {
		out.Unknown = clean(err.Error())
		out.Outcome, out.Detail, out.Statistic = judgeComparison(c.GetPrometheus(), &out)
		return &out
	}
	demand, _ := criterion.ComparisonOf(c.GetPrometheus())
	reading, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	for _, side := range append([]*ComparedSide{&out.Changed}, pointers(out.Baseline)...) {
		resolved, err := criterion.Resolve(c, r.plan.Release.names(side.Target, r.carries(out.With, side.Target, s)))
		if err == nil {
			err = side.read(reading, comparer, resolved, demand.Step)
		}
		if err != nil {
			side.Refused = clean(err.Error())
			break // One side alone compares with nothing.
		}
	}
	for _, side := range out.Baseline {
		if r.plan.Disturbed == nil {
			out.Unknown = "what else was under way in the time of the baseline is not known"
			break
		}
		all, err := r.plan.Disturbed(reading, side.Target, side.From.Add(-demand.Reach), side.To)
		if err != nil {
			out.Unknown = clean("what else was under way on " + side.Target + " is not known: " + err.Error())
			break
		}
		out.Disturbed = append(out.Disturbed, all...)
	}
	out.Outcome, out.Detail, out.Statistic = judgeComparison(c.GetPrometheus(), &out)
	return &out
}

// carries is the artifact that a target carries in the time that is asked for.
func (r *run) carries(with, target string, s Subject) string {
	if with == withEarlier || target == s.Target.ID() && with != withBefore {
		return s.Digest
	}
	return r.plan.Release.Was[target]
}

func pointers(sides []ComparedSide) []*ComparedSide {
	var out []*ComparedSide
	for i := range sides {
		out = append(out, &sides[i])
	}
	return out
}

// read asks for one side.
func (s *ComparedSide) read(ctx context.Context, comparer Comparer, c *releasev1.Check, step time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	values, sampled, err := comparer.Values(ctx, c, s.From, s.To, step)
	if err != nil {
		return err
	}
	if s.Found = len(values); s.Found != 1 {
		return nil
	}
	taken := map[int64]time.Time{}
	if len(sampled) == 1 {
		for _, p := range sampled[0] {
			// What is no time that was is not known.
			if seconds, ok := p.Number(); ok && seconds > 0 && seconds < float64(s.To.Unix()+1) {
				taken[p.Time.UnixMilli()] = metrics.At(seconds)
			}
		}
	}
	for _, p := range values[0] {
		s.Readings = append(s.Readings, Reading{Time: p.Time, Value: p.Value, Sampled: taken[p.Time.UnixMilli()]})
	}
	return nil
}

// blend adds to the result of the samples what a comparison came to: a failure of either fails,
// and nothing passes that was not compared.
func blend(result *releasev1.CheckResult, c *releasev1.Check, compared *Comparison) *releasev1.CheckResult {
	if c.GetPrometheus().GetBaseline() == nil {
		return result
	}
	outcome, detail := Error, "nothing was compared"
	if compared != nil {
		outcome, detail = compared.Outcome, compared.Detail
		result.Comparison = "sha256:" + compared.Sum
	}
	switch {
	case outcome == Failed && result.GetVerdict() != fail:
		result.Verdict, result.Reason = fail, detail+"; "+result.GetReason()
		return result
	case outcome == Error && result.GetVerdict() == pass:
		result.Verdict = inconclusive
	}
	result.Reason += "; " + detail
	return result
}

// rejudge says why a comparison is not what its values come to; nil where it is.
func (c *Comparison) rejudge(release Release, check *releasev1.Check, target Approved, url string, start, end time.Time) error {
	if check.GetPrometheus().GetBaseline() == nil {
		if c != nil {
			return errors.New("comparison: the check has no baseline")
		}
		return nil
	}
	if c == nil {
		return nil // It is no pass.
	}
	want, err := layout(release, check, target.Target, target.Digest, start, end)
	want.Asked, want.URL, want.Tries, want.Disturbed, want.Unknown = c.Asked, url, c.Tries, c.Disturbed, c.Unknown
	if err != nil && c.Unknown != clean(err.Error()) {
		return fmt.Errorf("comparison: %w", err)
	}
	if len(want.Baseline) != len(c.Baseline) {
		return fmt.Errorf("comparison.baseline: %d of %d", len(c.Baseline), len(want.Baseline))
	}
	step, _ := time.ParseDuration(want.Step)
	for i, side := range append([]*ComparedSide{&want.Changed}, pointers(want.Baseline)...) {
		said := append([]*ComparedSide{&c.Changed}, pointers(c.Baseline)...)[i]
		side.Found, side.Readings, side.Refused = said.Found, said.Readings, said.Refused
		if err := said.ordered(step); err != nil {
			return fmt.Errorf("comparison: on %s: %w", said.Target, err)
		}
	}
	want.Outcome, want.Detail, want.Statistic = judgeComparison(check.GetPrometheus(), &want)
	want.Sum = c.sum()
	if !reflect.DeepEqual(want, *c) {
		return fmt.Errorf("comparison: it says %s (%s), its values come to %s (%s), or it asked otherwise", c.Outcome, c.Detail, want.Outcome, want.Detail)
	}
	return nil
}

// ordered says which reading is not of a time that was asked for, or does not follow the one
// before it.
func (s ComparedSide) ordered(step time.Duration) error {
	if s.Found != 1 && len(s.Readings) > 0 {
		return fmt.Errorf("readings of %d series", s.Found)
	}
	for i, r := range s.Readings {
		if r.Time.Before(s.From) || r.Time.After(s.To) || step <= 0 || r.Time.Sub(s.From)%step != 0 || i > 0 && !r.Time.After(s.Readings[i-1].Time) {
			return fmt.Errorf("readings[%d] is of no time that was asked for", i)
		}
	}
	return nil
}
