package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// maxValues bounds how many values of one answer are kept, beside one of every series.
const maxValues = 20

// Measured is what an answer of a source of metrics comes to by the bounds of a check.
type Measured struct {
	// Asked is the time of which it was asked.
	Asked time.Time `json:"asked"`
	// Sampled is when that sample was taken which is the oldest among the newest ones of
	// their series; nil where it was not asked for.
	Sampled *time.Time `json:"sampled,omitempty"`
	// Found is how many series the answer has, and Series are the first of them: all, where
	// they are no more than any check allows.
	Found  int              `json:"found"`
	Series []MeasuredSeries `json:"series"`
}

// MeasuredSeries is what one series comes to.
type MeasuredSeries struct {
	// Points is how many there are, Within how many of them lie within the bounds, and
	// Uncounted how many are no number that can be compared.
	Points    int `json:"points"`
	Within    int `json:"within"`
	Uncounted int `json:"uncounted,omitempty"`
	// Newest is the time of the newest.
	Newest time.Time `json:"newest"`
	// Values are the newest of them.
	Values []metrics.Point `json:"values"`
}

// Measure counts an answer.
func Measure(p *releasev1.PrometheusProbe, asked time.Time, sampled *time.Time, answer []metrics.Series) *Measured {
	m := &Measured{Asked: asked, Sampled: sampled, Found: len(answer), Series: []MeasuredSeries{}}
	answer = answer[:min(len(answer), criterion.MaxSeries)]
	for _, points := range answer {
		m.Series = append(m.Series, measureSeries(p, points, max(maxValues/len(answer), 1)))
	}
	return m
}

// measureSeries counts one series, and keeps so many of its values.
func measureSeries(p *releasev1.PrometheusProbe, points []metrics.Point, keep int) MeasuredSeries {
	s := MeasuredSeries{Points: len(points), Values: points[max(len(points)-keep, 0):]}
	for _, point := range points {
		value, ok := point.Number()
		switch {
		case !ok:
			s.Uncounted++
		case criterion.Within(p.GetRange(), value):
			s.Within++
		}
		s.Newest = point.Time
	}
	return s
}

// JudgeMeasured derives the outcome of a sample from what was measured. It is pure. Only
// numbers that lie outside of the bounds are a failure; where anything is missing, too
// old or no number, nothing is known, whatever the rest of it says.
func JudgeMeasured(p *releasev1.PrometheusProbe, m *Measured) Observation {
	demand := criterion.DemandOf(p)
	unknown := func(format string, args ...any) Observation {
		return Observation{Outcome: Error, Detail: fmt.Sprintf(format, args...), Measured: m}
	}
	switch n := m.Found; {
	case n == 0:
		return unknown("no data")
	case n < demand.MinSeries:
		return unknown("%d series, at least %d are needed", n, demand.MinSeries)
	case n > demand.MaxSeries:
		return unknown("%d series, at most %d are allowed", n, demand.MaxSeries)
	case n != len(m.Series):
		return unknown("%d series, of which %d were kept", n, len(m.Series))
	}
	if m.Sampled == nil && criterion.AgeOf(p) != "" {
		return unknown("how old the samples are is not known")
	}
	if m.Sampled != nil {
		if age := m.Asked.Sub(*m.Sampled); age > demand.MaxAge {
			return unknown("the newest sample is %s old, at most %s are allowed", age.Round(time.Millisecond), demand.MaxAge)
		}
	}
	bad := -1
	for i, s := range m.Series {
		switch age := m.Asked.Sub(s.Newest); {
		case s.Uncounted > 0:
			return unknown("series %d: %d of %d values are no numbers: %s", i+1, s.Uncounted, s.Points, shown(s.Values))
		case s.Points < demand.MinPoints:
			return unknown("series %d: %d points, at least %d are needed", i+1, s.Points, demand.MinPoints)
		case age > demand.MaxAge:
			return unknown("series %d: it ended %s ago, at most %s are allowed", i+1, age.Round(time.Millisecond), demand.MaxAge)
		case bad < 0 && float64(s.Within)/float64(s.Points) < demand.MinShare:
			bad = i
		}
	}
	expected := criterion.Bounds(demand.Range)
	switch {
	case bad < 0 && demand.Over > 0:
		return Observation{Outcome: Passed, Detail: fmt.Sprintf("%d series, enough points are %s: the last %s", len(m.Series), expected, lastOf(m.Series)), Measured: m}
	case bad < 0:
		return Observation{Outcome: Passed, Detail: lastOf(m.Series), Measured: m}
	case demand.Over > 0:
		s := m.Series[bad]
		return Observation{Outcome: Failed, Detail: fmt.Sprintf("series %d: %d of %d points are %s: %s", bad+1, s.Within, s.Points, expected, shown(s.Values)), Measured: m}
	}
	return Observation{Outcome: Failed, Detail: fmt.Sprintf("%s, expected %s", shown(m.Series[bad].Values), expected), Measured: m}
}

// lastOf are the newest values of all series.
func lastOf(all []MeasuredSeries) string {
	var out []string
	for _, s := range all {
		if len(s.Values) > 0 {
			out = append(out, s.Values[len(s.Values)-1].Value)
		}
	}
	return strings.Join(out, ", ")
}

// shown are the values that were kept, the newest first, until the detail is full.
func shown(values []metrics.Point) string {
	var out []string
	for i := len(values) - 1; i >= 0; i-- {
		out = append(out, values[i].Value)
	}
	return strings.Join(out, ", ")
}

// remeasured says why the outcome of a sample is not what was measured; nil where it is, or
// where nothing is measured by such a check. Where all values were kept, they are counted
// again.
func remeasured(c *releasev1.Check, s Sample) error {
	p := c.GetPrometheus()
	if p == nil {
		return nil
	}
	if s.Measured == nil {
		if s.Outcome != Error {
			return fmt.Errorf("it %s, and nothing was measured", s.Outcome)
		}
		return nil
	}
	for i, kept := range s.Measured.Series {
		again := measureSeries(p, kept.Values, len(kept.Values))
		if kept.Points == len(kept.Values) && (again.Within != kept.Within || again.Uncounted != kept.Uncounted) ||
			kept.Points < len(kept.Values) || kept.Within+kept.Uncounted > kept.Points || !again.Newest.Equal(kept.Newest) {
			return fmt.Errorf("series[%d]: it counts otherwise than its values do", i)
		}
	}
	if judged := JudgeMeasured(p, s.Measured); judged.Outcome != s.Outcome {
		return fmt.Errorf("it %s, and what was measured %s (%s)", s.Outcome, judged.Outcome, judged.Detail)
	}
	return nil
}

// weight is how much of the room for samples one of a check takes: what is kept of values
// is longer than the rest of it.
func weight(c *releasev1.Check) int {
	if criterion.InKubernetes(c) {
		return 2 + maxFound/300
	}
	if c.GetLogs() != nil {
		return 3
	}
	if c.GetCommand() != nil {
		return 2 + 2*MaxSaid/300
	}
	p := c.GetPrometheus()
	if p == nil {
		return 1
	}
	demand := criterion.DemandOf(p)
	series := min(demand.MaxSeries, criterion.MaxSeries)
	values := max(series, min(maxValues, series*demand.Points))
	return 2 + (series*100+values*70)/300
}
