package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// spread is the median of some measurements, the mean of the two middle ones where
// their number is even, with the least and the greatest.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	middle := (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return spread{median: middle, least: s[0], most: s[len(s)-1]}
}

func (s spread) text(unit string) string {
	if s.least == s.most {
		return number(s.median) + unit
	}
	return fmt.Sprintf("%s%s (%s–%s)", number(s.median), unit, number(s.least), number(s.most))
}

// number writes a figure with about three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// line is one figure beside what bounds it. Where there is no bound, ours is what is
// compared with the target.
type line struct {
	id, figure          string
	ours, bound, ratio  []float64
	unit                string
	target              float64 // 0 for none
	atMost              bool    // whether the target is an upper limit
	targetUnit, limited string
}

func (l line) verdict() (target, verdict string) {
	if l.target == 0 {
		return "", ""
	}
	value := spreadOf(l.ratio).median
	if len(l.ratio) == 0 {
		value = spreadOf(l.ours).median
	}
	sign, reached := "≥", value >= l.target
	if l.atMost {
		sign, reached = "≤", value <= l.target
	}
	target = fmt.Sprintf("%s %s%s", sign, number(l.target), l.targetUnit)
	if reached {
		return target, "reached"
	}
	return target, fmt.Sprintf("missed by %.0f %%", 100*max(value/l.target-1, l.target/max(value, 1e-9)-1))
}

// table is what is printed in the end.
type table struct {
	lines []line
	notes []string
}

func (t *table) add(l line) { t.lines = append(t.lines, l) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(out io.Writer, cfg Config, took time.Duration) {
	fmt.Fprintf(out, "\n%d processors, %s, %d rounds of %s, %d in flight, %d workers a step, %s in all\n\n",
		runtime.NumCPU(), runtime.Version(), cfg.Rounds, cfg.Round, cfg.InFlight, cfg.Workers, took.Round(time.Second))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t")) }
	row("", "figure", "ours", "bound", "ratio", "target", "", "bounded by")
	for _, l := range t.lines {
		bound, ratio := "", ""
		if len(l.bound) > 0 {
			bound = spreadOf(l.bound).text(l.unit)
		}
		if len(l.ratio) > 0 {
			ratio = spreadOf(l.ratio).text("")
		}
		target, verdict := l.verdict()
		row(l.id, l.figure, spreadOf(l.ours).text(l.unit), bound, ratio, target, verdict, l.limited)
	}
	_ = w.Flush()
	for _, n := range t.notes {
		fmt.Fprintf(out, "\n%s\n", n)
	}
}

func ratios(ours, bound []float64) []float64 {
	var out []float64
	for i := range min(len(ours), len(bound)) {
		if bound[i] > 0 {
			out = append(out, ours[i]/bound[i])
		}
	}
	return out
}

func median(times []time.Duration) time.Duration { return quantile(times, 0.5) }

// quantile is the time that so large a part of all times does not exceed.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(times))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
