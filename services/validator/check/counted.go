package check

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// Counted is what a source of logs counted for one sample.
type Counted struct {
	// Asked is the time of which it was asked, at which both windows end.
	Asked time.Time `json:"asked"`
	// Window is over which time the lines were counted, and FlowWindow over which all lines were,
	// as durations.
	Window     string `json:"window"`
	FlowWindow string `json:"flow_window"`
	// Lines is the answer to how many there are of those that the check is about, Flow to how many
	// there are of any kind.
	Lines Count `json:"lines"`
	Flow  Count `json:"flow"`
}

// Count is an answer of a source of logs.
type Count struct {
	// Found is how many series it has: none where there are no lines, and one otherwise.
	Found int `json:"found"`
	// Newest is the point of the first of them, as it was answered; nil where there is none.
	Newest *metrics.Point `json:"newest,omitempty"`
}

// CountOf keeps an answer.
func CountOf(answer []metrics.Series) Count {
	c := Count{Found: len(answer)}
	if len(answer) > 0 && len(answer[0]) > 0 {
		point := answer[0][len(answer[0])-1]
		c.Newest = &point
	}
	return c
}

// lines is how many lines an answer says that there are, at the time that was asked for.
func (c Count) lines(asked time.Time) (float64, error) {
	switch {
	case c.Found == 0:
		return 0, nil
	case c.Found > 1:
		return 0, fmt.Errorf("%d series, where a count is one", c.Found)
	case c.Newest == nil:
		return 0, errors.New("a series without a value")
	}
	n, ok := c.Newest.Number()
	switch age := asked.Sub(c.Newest.Time); {
	case !ok || n < 0 || n != math.Trunc(n):
		return 0, fmt.Errorf("%s is no number of lines", c.Newest.Value)
	case age > time.Second || age < 0:
		return 0, fmt.Errorf("it is of %s before what was asked for", age)
	}
	return n, nil
}

// JudgeCounted derives the outcome of a sample from what was counted. It is pure. Only a number of
// lines that lies outside of the bounds is a failure, and only where the log has lines at all:
// no line of any kind says that nothing arrives there, and nothing about the target.
func JudgeCounted(p *releasev1.LogProbe, since time.Time, c *Counted) Observation {
	unknown := func(format string, args ...any) Observation {
		return Observation{Outcome: Error, Detail: fmt.Sprintf(format, args...), Counted: c}
	}
	over := criterion.CountingOf(p, since, c.Asked)
	if c.Window != over.Window.String() || c.FlowWindow != over.Flow.String() {
		return unknown("counted over %.20s and %.20s, not over %s and %s", c.Window, c.FlowWindow, over.Window, over.Flow)
	}
	if over.Window <= 0 {
		return unknown("the change began only now")
	}
	flow, err := c.Flow.lines(c.Asked)
	switch {
	case err != nil:
		return unknown("all lines: %v", err)
	case flow == 0:
		return unknown("the log is silent: no line of any kind in %s", over.Flow)
	}
	n, err := c.Lines.lines(c.Asked)
	switch {
	case err != nil:
		return unknown("%v", err)
	case n > flow && over.Window == over.Flow:
		return unknown("%.0f lines, of %.0f in all", n, flow)
	}
	if !criterion.Within(p.GetRange(), n) {
		return Observation{
			Outcome: Failed, Counted: c,
			Detail: fmt.Sprintf("%.0f lines in %s, expected %s", n, over.Window, criterion.Bounds(p.GetRange())),
		}
	}
	return Observation{Outcome: Passed, Detail: fmt.Sprintf("%.0f lines in %s", n, over.Window), Counted: c}
}

// recounted says why the outcome of a sample is not what was counted; nil where it is, or where
// nothing is counted by such a check.
func recounted(c *releasev1.Check, since time.Time, s Sample) error {
	p := c.GetLogs()
	switch {
	case p == nil && s.Counted != nil:
		return fmt.Errorf("a check of the kind %s counts no lines", criterion.Kind(c))
	case p == nil:
		return nil
	case s.Counted == nil:
		if s.Outcome != Error {
			return fmt.Errorf("it %s, and nothing was counted", s.Outcome)
		}
		return nil
	}
	if judged := JudgeCounted(p, since, s.Counted); judged.Outcome != s.Outcome || clean(judged.Detail) != s.Detail {
		return fmt.Errorf("it %s (%s), and what was counted %s (%s)", s.Outcome, s.Detail, judged.Outcome, clean(judged.Detail))
	}
	return nil
}

// logQuery is what was asked of a source of logs for one check on one target.
func logQuery(c *releasev1.Check, names criterion.Names, place func(kind, source string) string) documentQuery {
	q := documentQuery{Check: c.GetName(), Kind: kindLogs, Source: c.GetLogs().GetSource()}
	q.URL = place(kindLogs, q.Source)
	if asked, err := criterion.Resolve(c, names); err == nil {
		longest := criterion.CountingOf(asked.GetLogs(), time.Time{}, time.Time{})
		q.Query, q.Flow = criterion.CountLines(asked.GetLogs(), longest.Window), criterion.CountFlow(asked.GetLogs(), longest.Flow)
	}
	return q
}
