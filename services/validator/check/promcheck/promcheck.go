// Package promcheck asks a source of metrics whether values lie within bounds.
//
// The source is not the target: that it cannot be asked, or gives no answer that counts,
// says nothing about the target, and is an error whatever it is. So is an answer without
// data, with values that are no numbers, or with ones that are too old. Only a number that
// lies outside of the bounds is a failure.
//
// By the time at which a query is evaluated nobody can tell how old the samples are that
// went into it. Where a check says how old they may be, they are asked for apart, of the
// same moment.
package promcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of Prometheus checks (PD-6.1). It is safe for concurrent use.
type Prober struct {
	// Sources are those that may be asked, by the names that checks have for them.
	Sources map[string]*metrics.Source
	// Now is the clock. Nil means the machine's.
	Now func() time.Time
}

var (
	_ check.Prober = Prober{}
	_ check.Placed = Prober{}

	_ check.Comparer = Prober{}
)

// Place says where a source is, "" where there is none of that name.
func (p Prober) Place(source string) string {
	if s := p.Sources[source]; s != nil {
		return s.URL()
	}
	return ""
}

// Probe asks once, for the values and then for the age of the samples. What the check asks
// for has everything in place of its placeholders.
func (p Prober) Probe(ctx context.Context, _ *target.Target, c *releasev1.Check) check.Observation {
	if p.Now == nil {
		p.Now = time.Now
	}
	probe := c.GetPrometheus()
	source := p.Sources[probe.GetSource()]
	if source == nil {
		return check.Observation{Outcome: check.Error, Detail: fmt.Sprintf("no source of metrics %q is configured", probe.GetSource())}
	}
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	asked := p.Now().UTC().Truncate(time.Millisecond)
	demand := criterion.DemandOf(probe)
	answer, err := source.Ask(ctx, metrics.Question{Query: probe.GetQuery(), At: asked, Over: demand.Over, Step: demand.Step})
	if err != nil {
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	}
	sampled, err := oldest(ctx, source, criterion.AgeOf(probe), asked)
	if err != nil {
		return check.Observation{Outcome: check.Error, Detail: "how old the samples are: " + err.Error()}
	}
	return check.JudgeMeasured(probe, check.Measure(probe, asked, sampled, answer))
}

// Values asks for the values of a check over a span, and of the same times when the samples
// were taken that they rest on.
func (p Prober) Values(ctx context.Context, c *releasev1.Check, from, to time.Time, step time.Duration) (values, sampled []metrics.Series, err error) {
	probe := c.GetPrometheus()
	source := p.Sources[probe.GetSource()]
	if source == nil {
		return nil, nil, fmt.Errorf("no source of metrics %q is configured", probe.GetSource())
	}
	question := metrics.Question{Query: probe.GetQuery(), At: to, Over: to.Sub(from), Step: step}
	if values, err = source.Ask(ctx, question); err != nil {
		return nil, nil, err
	}
	question.Query = "min(timestamp(" + criterion.AgeOf(probe) + "))"
	if sampled, err = source.Ask(ctx, question); err != nil {
		return nil, nil, fmt.Errorf("how old the samples are: %w", err)
	}
	return values, sampled, nil
}

// oldest asks when that sample was taken which is the oldest among the newest ones of the
// series that a selector selects; nil where there is no selector.
func oldest(ctx context.Context, source *metrics.Source, selector string, asked time.Time) (*time.Time, error) {
	if selector == "" {
		return nil, nil //nolint:nilnil // Nobody asked for it.
	}
	answer, err := source.Ask(ctx, metrics.Question{Query: "min(timestamp(" + selector + "))", At: asked})
	if err != nil {
		return nil, err
	}
	if len(answer) != 1 || len(answer[0]) != 1 {
		return nil, fmt.Errorf("%w: no data", metrics.ErrAnswer)
	}
	seconds, ok := answer[0][0].Number()
	if !ok || seconds < 0 || seconds > float64(asked.Unix()+1) {
		return nil, fmt.Errorf("%w: %s is no time that was", metrics.ErrAnswer, answer[0][0].Value)
	}
	at := metrics.At(seconds)
	return &at, nil
}
