package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check/mannwhitney"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// Statistic is what the values of both sides come to.
type Statistic struct {
	// Changed and Baseline are how many values were compared, with their medians.
	Changed        int     `json:"changed"`
	Baseline       int     `json:"baseline"`
	MedianChanged  float64 `json:"median_changed"`
	MedianBaseline float64 `json:"median_baseline"`
	// Tests are one for each direction that is worse.
	Tests []Test `json:"tests"`
}

// Test is the test in one direction.
type Test struct {
	// Direction is higher or lower.
	Direction string `json:"direction"`
	// U counts the pairs in which the value since the change is the higher one, of the baseline
	// made worse by what is tolerated.
	U float64 `json:"u"`
	// P is how improbable it is, twice where both directions are tested; Effect is Cliff's delta
	// in this direction.
	P      float64 `json:"p"`
	Effect float64 `json:"effect"`
	// Exact says that the probability was counted, not approximated.
	Exact bool `json:"exact"`
	Worse bool `json:"worse"`
}

// judgeComparison derives the outcome of a comparison, its detail and the statistic from what
// was answered. It is pure. Where anything is missing, too old, no number, or may have been
// disturbed, nothing is known.
func judgeComparison(p *releasev1.PrometheusProbe, c *Comparison) (Outcome, string, *Statistic) {
	demand, _ := criterion.ComparisonOf(p)
	unknown := func(format string, args ...any) (Outcome, string, *Statistic) {
		return Error, clean(fmt.Sprintf(format, args...)), nil
	}
	if c.Unknown != "" {
		return unknown("%s", c.Unknown)
	}
	if len(c.Disturbed) > 0 {
		d := c.Disturbed[0]
		what := "release " + d.Release + " was under way"
		if d.What == IncidentUnderWay {
			what = "an incident of release " + d.Release + " was open"
		}
		return unknown("in the time of the baseline %s on %s", what, d.Target)
	}
	changed, err := c.Changed.values(criterion.DemandOf(p).MaxAge, c.Since)
	if err != nil {
		return unknown("since the change, %v", err)
	}
	var baseline []float64
	for _, side := range c.Baseline {
		values, err := side.values(criterion.DemandOf(p).MaxAge, time.Time{})
		if err != nil {
			return unknown("in the baseline, %v", err)
		}
		baseline = append(baseline, values...)
	}
	for _, side := range []struct {
		name string
		n    int
	}{{"since the change", len(changed)}, {"in the baseline", len(baseline)}} {
		if side.n < demand.MinSamples {
			return unknown("%s there are %d values that rest on samples of their own, at least %d are needed", side.name, side.n, demand.MinSamples)
		}
	}
	s := compute(demand, changed, baseline)
	detail := fmt.Sprintf("medians %.4g and %.4g of %d and %d values", s.MedianChanged, s.MedianBaseline, s.Changed, s.Baseline)
	told := s.Tests[0]
	for _, test := range s.Tests {
		if test.Worse || !told.Worse && test.P < told.P {
			told = test
		}
	}
	of := map[string]string{withBefore: "before", withUnchanged: "where it is not changed yet", withEarlier: "in the wave before"}[c.With]
	detail = fmt.Sprintf("%s than %s: p %.3g, Cliff's delta %.3g, %s", told.Direction, of, told.P, told.Effect, detail)
	if told.Worse {
		return Failed, clean(detail), s
	}
	return Passed, clean("not " + detail), s
}

// values are those of a side that count: of one series, each a number that is young enough and
// rests on a sample that no value before it rests on, and that was taken since a time.
func (s ComparedSide) values(oldest time.Duration, since time.Time) ([]float64, error) {
	switch {
	case s.Refused != "":
		return nil, fmt.Errorf("on %s: %s", s.Target, s.Refused)
	case s.Found > 1:
		return nil, fmt.Errorf("on %s: %d series, one is compared", s.Target, s.Found)
	case s.Found != 1 || len(s.Readings) == 0:
		return nil, fmt.Errorf("on %s: no data", s.Target)
	}
	var out []float64
	var last time.Time
	for _, r := range s.Readings {
		value, ok := metrics.Point{Value: r.Value}.Number()
		age := r.Time.Sub(r.Sampled)
		switch {
		case !ok:
			return nil, fmt.Errorf("on %s: %s is no number", s.Target, r.Value)
		case r.Sampled.IsZero() || age < 0:
			return nil, fmt.Errorf("on %s: how old a value is is not known", s.Target)
		case age > oldest:
			return nil, fmt.Errorf("on %s: at %s the newest sample was %s old, at most %s are allowed", s.Target, r.Time.Format(time.TimeOnly), age, oldest)
		case !r.Sampled.After(last) || r.Sampled.Before(since):
			continue
		}
		last = r.Sampled
		out = append(out, value)
	}
	return out, nil
}

// compute makes the test in each direction that is worse.
func compute(demand criterion.Comparison, changed, baseline []float64) *Statistic {
	s := &Statistic{Changed: len(changed), Baseline: len(baseline), MedianChanged: median(changed), MedianBaseline: median(baseline), Tests: []Test{}}
	higher := demand.Direction != releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE
	lower := demand.Direction != releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE
	sides := 1.0
	if higher && lower {
		sides = 2
	}
	test := func(direction string, r mannwhitney.Result, p, effect float64) {
		p = min(sides*p, 1)
		s.Tests = append(s.Tests, Test{Direction: direction, U: r.U, P: p, Effect: effect, Exact: r.Exact, Worse: p <= demand.Alpha && effect > demand.MinEffect})
	}
	if higher {
		r := mannwhitney.Compare(changed, worse(baseline, demand.Tolerance))
		test("higher", r, r.Higher, r.Delta)
	}
	if lower {
		r := mannwhitney.Compare(changed, worse(baseline, -demand.Tolerance))
		test("lower", r, r.Lower, -r.Delta)
	}
	return s
}

// worse are values that are higher, or lower, by a share of what they are.
func worse(values []float64, share float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v + float64(share*math.Abs(v))
	}
	return out
}

// median is the middle one, or halfway between the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return sorted[(n-1)/2]/2 + sorted[n/2]/2
}
