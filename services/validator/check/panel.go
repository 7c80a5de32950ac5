package check

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// panel is what is drawn of one comparison.
type panel struct {
	target, check string
	bounds        *releasev1.NumberRange
	compared      Comparison
}

// scale puts values between two into a span of pixels, whatever their size.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) string {
	// In quarters, since the difference of two values may be more than there is a number for.
	span := s.high/4 - s.low/4
	part := 0.5
	if span > 0 {
		part = (v/4 - s.low/4) / span
	}
	return strconv.FormatFloat(s.from+float64(part*(s.to-s.from)), 'f', 1, 64)
}

func (s scale) has(v float64) bool { return v >= s.low && v <= s.high }

// draw draws a comparison: the values of both sides at their times, with their medians, bounds,
// and when the change was made.
func (b panel) draw(p *pen) {
	c := b.compared
	p.add(`<text x="%d" y="20" font-size="14" font-weight="bold">%s</text>`, plotLeft, escaped(fmt.Sprintf("%s on %s: %s", b.check, b.target, c.Outcome)))
	p.text(plotLeft, 38, "start", "%s", c.Detail)
	p.add(`<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#999"/>`, plotLeft, plotTop, plotRight-plotLeft, plotBottom-plotTop)
	x, y, any := b.scales()
	if !any {
		p.text((plotLeft+plotRight)/2, (plotTop+plotBottom)/2, "middle", "no values")
		return
	}
	p.text(plotLeft-6, plotBottom, "end", "%.4g", y.low)
	p.text(plotLeft-6, plotTop+8, "end", "%.4g", y.high)
	b.times(p, x)
	for _, bound := range b.limits() {
		bound.draw(p, y)
	}
	for _, side := range c.Baseline {
		dots(p, x, y, side, `fill="none" stroke="#36c"`)
	}
	dots(p, x, y, c.Changed, `fill="#d60"`)
	if s := c.Statistic; s != nil {
		level(p, y, s.MedianBaseline, `stroke="#36c"`)
		level(p, y, s.MedianChanged, `stroke="#d60"`)
	}
}

// scales are those that all values lie within, false where there are none. A bound that is near
// lies within as well.
func (b panel) scales() (x, y scale, any bool) {
	x = scale{low: math.Inf(1), high: math.Inf(-1), from: plotLeft, to: plotRight}
	y = scale{low: math.Inf(1), high: math.Inf(-1), from: plotBottom - 4, to: plotTop + 4}
	for _, side := range append([]ComparedSide{b.compared.Changed}, b.compared.Baseline...) {
		if side.From.IsZero() {
			continue
		}
		x.low, x.high = min(x.low, millis(side.From)), max(x.high, millis(side.To))
		for _, r := range side.Readings {
			if v, ok := (metrics.Point{Value: r.Value}).Number(); ok {
				y.low, y.high, any = min(y.low, v), max(y.high, v), true
			}
		}
	}
	x.low = min(x.low, millis(b.compared.Since))
	near := y.high/2 - y.low/2
	for _, bound := range b.limits() {
		if bound.value >= y.low-near && bound.value <= y.high+near {
			y.low, y.high = min(y.low, bound.value), max(y.high, bound.value)
		}
	}
	return x, y, any
}

// limit is one of the bounds.
type limit struct {
	name  string
	value float64
}

// limits are the bounds of the check.
func (b panel) limits() (all []limit) {
	if b.bounds != nil && b.bounds.Max != nil {
		all = append(all, limit{"max", b.bounds.GetMax()})
	}
	if b.bounds != nil && b.bounds.Min != nil {
		all = append(all, limit{"min", b.bounds.GetMin()})
	}
	return all
}

// draw draws a bound, or says that it is too far away to be drawn.
func (l limit) draw(p *pen, y scale) {
	switch {
	case l.value > y.high:
		p.text(plotRight, plotBottom+32, "end", "%s %s is above", l.name, criterion.Number(l.value))
	case l.value < y.low:
		p.text(plotLeft, plotBottom+32, "start", "%s %s is below", l.name, criterion.Number(l.value))
	default:
		at := y.at(l.value)
		p.add(`<path d="M%d %sH%d" stroke="#c00" stroke-dasharray="6 4"/>`, plotLeft, at, plotRight)
		p.add(`<text x="%d" y="%s" dy="-3" text-anchor="end" fill="#c00">%s</text>`, plotRight-4, at, escaped(l.name+" "+criterion.Number(l.value)))
	}
}

// times draws when the wave began, since when it is changed, and what the axis reaches.
func (b panel) times(p *pen, x scale) {
	c := b.compared
	p.text(plotLeft, plotBottom+16, "start", "%s", clock(x.low))
	p.text(plotRight, plotBottom+16, "end", "end %s", clock(x.high))
	since := millis(c.Since)
	if len(c.Baseline) > 0 && c.With == withBefore {
		if began := millis(c.Baseline[0].To); x.has(began) {
			p.add(`<path d="M%s %dV%d" stroke="#999" stroke-dasharray="2 3"/>`, x.at(began), plotTop, plotBottom)
		}
	}
	if x.has(since) {
		p.add(`<path d="M%s %dV%d" stroke="#666"/>`, x.at(since), plotTop, plotBottom)
		if since > x.low {
			anchor := "start"
			if since > x.low/2+x.high/2 {
				anchor = "end"
			}
			p.add(`<text x="%s" y="%d" text-anchor="%s">since %s</text>`, x.at(since), plotTop-4, anchor, clock(since))
		}
	}
}

// dots draws the values of one side.
func dots(p *pen, x, y scale, side ComparedSide, style string) {
	p.add(`<g %s>`, style)
	for _, r := range side.Readings {
		v, ok := (metrics.Point{Value: r.Value}).Number()
		if at := millis(r.Time); ok && x.has(at) {
			p.add(`<circle cx="%s" cy="%s" r="2.5"/>`, x.at(at), y.at(v))
		}
	}
	p.add(`</g>`)
}

// level draws a thin line at a value.
func level(p *pen, y scale, v float64, style string) {
	p.add(`<path d="M%d %sH%d" %s/>`, plotLeft, y.at(v), plotRight, style)
}

func millis(t time.Time) float64 { return float64(t.UnixMilli()) }

// clock is a time of day, of Coordinated Universal Time.
func clock(ms float64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05Z")
}
