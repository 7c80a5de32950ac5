package criterion

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What holds where a baseline does not say otherwise, and at most. Alpha is less than what is
// usual in a textbook, because many checks on many targets are compared.
const (
	DefaultAlpha     = 0.01
	DefaultMinEffect = 0.33
	// MaxCompared bounds the values of each side of a comparison.
	MaxCompared = 500

	defaultCompared = 20
)

// Comparison is what a check demands of its values beside those of a baseline, with the
// defaults in their place.
type Comparison struct {
	Kind      releasev1.MetricBaseline_Kind
	Direction releasev1.MetricBaseline_Direction
	// Over is how far back before the wave values are taken, each a Step from the next.
	Over, Step time.Duration
	// Reach is how far back before its time one value of the query rests on samples.
	Reach time.Duration
	// MinSamples is how many values there must be on either side.
	MinSamples int
	// Alpha is how improbable, MinEffect how large a difference must be that counts, and
	// Tolerance the share by which values may be worse.
	Alpha, MinEffect, Tolerance float64
}

// ComparisonOf returns what a Prometheus check demands beside a baseline, false where it has
// none.
func ComparisonOf(p *releasev1.PrometheusProbe) (Comparison, bool) {
	b := p.GetBaseline()
	if b == nil {
		return Comparison{}, false
	}
	c := Comparison{
		Kind: b.GetKind(), Direction: b.GetDirection(), Over: b.GetOver().AsDuration(), Step: b.GetStep().AsDuration(),
		MinSamples: defaultCompared, Alpha: DefaultAlpha, MinEffect: DefaultMinEffect, Tolerance: b.GetTolerance(),
	}
	// A query of which nobody knows how far it reaches back has a fault, and is not asked.
	c.Reach, _ = reach(p.GetQuery())
	if b.MinSamples != nil {
		c.MinSamples = int(b.GetMinSamples())
	}
	if b.Alpha != nil {
		c.Alpha = b.GetAlpha()
	}
	if b.MinEffect != nil {
		c.MinEffect = b.GetMinEffect()
	}
	return c, true
}

// Values is how many values there are in a span that long.
func (c Comparison) Values(span time.Duration) int {
	if span < 0 || c.Step <= 0 {
		return 0
	}
	return int(span/c.Step) + 1
}

// Changed is how many values there are since the change in a bake that long. The first is a step
// after the change, which is as far as a value reaches back at most; at the change itself there is
// none that rests on samples from after it.
func (c Comparison) Changed(bake time.Duration) int { return c.Values(bake - max(c.Step, c.Reach)) }

// Least is the least probability that the fewest values allow; nil where there are none. It
// counts twice where either direction is worse.
func (c Comparison) Least() *big.Rat {
	if c.MinSamples <= 0 {
		return nil
	}
	n := int64(c.MinSamples)
	return new(big.Rat).SetFrac(big.NewInt(int64(c.sides())), new(big.Int).Binomial(2*n, n))
}

// sides is how many directions count as worse.
func (c Comparison) sides() int {
	if c.Direction == releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE {
		return 2
	}
	return 1
}

// compares says with what values are compared, and what would be worse.
func compares(c Comparison) string {
	with := map[releasev1.MetricBaseline_Kind]string{
		releasev1.MetricBaseline_KIND_BEFORE:       "those of the same target %s before its wave",
		releasev1.MetricBaseline_KIND_UNCHANGED:    "those of targets that are not changed yet, or, where there are none, of the same target %s before its wave",
		releasev1.MetricBaseline_KIND_EARLIER_WAVE: "those of the wave before, or, where there is none, of the same target %s before its wave",
	}[c.Kind]
	if with == "" {
		return "its values since the change are compared with nothing that is known here"
	}
	worse := map[releasev1.MetricBaseline_Direction]string{
		releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE: "higher",
		releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE:  "lower",
		releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE: "higher or lower",
	}[c.Direction]
	if worse == "" {
		worse = "anything that is known here"
	}
	tolerated := ""
	if c.Tolerance > 0 {
		tolerated = fmt.Sprintf(" by more than %.6g%%", 100*c.Tolerance)
	}
	return fmt.Sprintf("at the end of the bake its values since the change, every %s, are not %s%s than %s "+
		"(Mann-Whitney U: worse if p is at most %s and Cliff's delta above %s; at least %d values of each)",
		c.Step, worse, tolerated, fmt.Sprintf(with, c.Over), Number(c.Alpha), Number(c.MinEffect), c.MinSamples)
}

// baselineFaults are what a schema cannot say of a baseline.
func baselineFaults(p *releasev1.PrometheusProbe, say func(field, rule, format string, args ...any)) {
	c, ok := ComparisonOf(p)
	if !ok {
		return
	}
	if p.GetMaxAge() == nil {
		say("max_age", "baseline.age", "required with a baseline: of values that may be of any age nobody knows to which side they belong")
	}
	if DemandOf(p).MaxSeries > 1 {
		say("max_series", "baseline.series", "must not be above 1 with a baseline: one series of each target is compared")
	}
	if c.Kind == releasev1.MetricBaseline_KIND_UNCHANGED || c.Kind == releasev1.MetricBaseline_KIND_EARLIER_WAVE {
		for _, of := range []struct{ field, text string }{{"query", p.GetQuery()}, {"max_age_of", p.GetMaxAgeOf()}} {
			if of.text != "" && !names(of.text, "{target}") {
				say(of.field, "baseline.target", "must have {target} within quotes: targets are compared, and without it all of them are asked the same")
			}
		}
	}
	far, err := reach(p.GetQuery())
	switch {
	case err != nil:
		say("query", "baseline.span", "%v", err)
	case c.Step > 0 && far > c.Step:
		say("baseline.step", "baseline.overlap", "must not be less than the %s that a value of the query reaches back: two of them would rest on the same samples", far)
	}
	if n := c.Values(c.Over); n > MaxCompared {
		say("baseline.step", "points.many", "over %s that are %d values, at most %d are compared", c.Over, n, MaxCompared)
	} else if n < c.MinSamples {
		say("baseline.over", "baseline.short", "over %s every %s there are never more than %d values, and %d are needed", c.Over, c.Step, n, c.MinSamples)
	}
	if least := c.Least(); least != nil && c.Alpha > 0 && least.Cmp(new(big.Rat).SetFloat64(c.Alpha)) > 0 {
		p, _ := least.Float64()
		say("baseline.min_samples", "baseline.blind", "must be more: %d values of each side never show a difference at %s, at best at %.2g", c.MinSamples, Number(c.Alpha), p)
	}
}

// names tells whether a query has a placeholder.
func names(query, placeholder string) bool {
	all, err := pieces(query)
	if err != nil {
		return false
	}
	for _, p := range all {
		if p.quote != 0 && strings.Contains(p.text, placeholder) {
			return true
		}
	}
	return false
}

// ShortBake says why a bake is too short for a check to be compared; "" where it is not, or
// where nothing is compared.
func ShortBake(check *releasev1.Check, bake time.Duration) string {
	c, ok := ComparisonOf(check.GetPrometheus())
	if !ok || c.Step <= 0 || bake <= 0 {
		return ""
	}
	n := c.Changed(bake)
	if n >= c.MinSamples {
		return ""
	}
	least := max(c.Step, c.Reach) + time.Duration(c.MinSamples-1)*c.Step
	return fmt.Sprintf("must be at least %s for check %s: in %s there are %d values every %s that rest on nothing from before the change, and %d are needed",
		least, check.GetName(), bake, n, c.Step, c.MinSamples)
}
