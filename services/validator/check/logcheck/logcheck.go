// Package logcheck asks a source of logs how many lines there are since the change.
//
// The source is not the target: that it cannot be asked, or gives no answer that counts, says
// nothing about the target, and is an error whatever it is. A count of no lines is an answer only
// where the log is alive, which is asked beside it: how many lines of any kind the same streams
// have. Only a number of lines outside of the bounds is a failure.
package logcheck

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

// Prober takes the samples of checks of logs (PD-6.1, PD-6.3). It is safe for concurrent use.
type Prober struct {
	// Sources are those that may be asked, by the names that checks have for them.
	Sources map[string]*metrics.Source
	// Now is the clock. Nil means the machine's.
	Now func() time.Time
}

var (
	_ check.Prober = Prober{}
	_ check.Placed = Prober{}
	_ check.Dated  = Prober{}
)

// Place says where a source is, "" where there is none of that name.
func (p Prober) Place(source string) string {
	if s := p.Sources[source]; s != nil {
		return s.URL()
	}
	return ""
}

// Probe asks once, about a change of which nobody knows when it began.
func (p Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	return p.ProbeSince(ctx, t, c, time.Time{})
}

// ProbeSince asks once, for the lines and then for all lines, of the same moment: so there are
// never more of the first than of the second. What the check asks for has everything in place of
// its placeholders.
func (p Prober) ProbeSince(ctx context.Context, _ *target.Target, c *releasev1.Check, since time.Time) check.Observation {
	if p.Now == nil {
		p.Now = time.Now
	}
	probe := c.GetLogs()
	source := p.Sources[probe.GetSource()]
	if source == nil {
		return check.Observation{Outcome: check.Error, Detail: fmt.Sprintf("no source of logs %q is configured", probe.GetSource())}
	}
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	asked := p.Now().UTC().Truncate(time.Millisecond)
	over := criterion.CountingOf(probe, since, asked)
	counted := &check.Counted{Asked: asked, Window: over.Window.String(), FlowWindow: over.Flow.String()}
	if over.Window <= 0 {
		return check.JudgeCounted(probe, since, counted)
	}
	answer, err := source.Ask(ctx, metrics.Question{Query: criterion.CountLines(probe, over.Window), At: asked})
	if err != nil {
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	}
	counted.Lines = check.CountOf(answer)
	if answer, err = source.Ask(ctx, metrics.Question{Query: criterion.CountFlow(probe, over.Flow), At: asked}); err != nil {
		return check.Observation{Outcome: check.Error, Detail: "all lines: " + err.Error()}
	}
	counted.Flow = check.CountOf(answer)
	return check.JudgeCounted(probe, since, counted)
}
