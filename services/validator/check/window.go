package check

import (
	"fmt"
	"slices"
	"time"
)

// maxSamples bounds how many samples one bake takes over all checks and targets, so
// that their document stays below the size that evidence may have.
const maxSamples = 20_000

// window is the times at which samples are taken: at the start, then after every
// interval, and once when the bake time is over.
type window struct {
	start          time.Time
	bake, interval time.Duration
	// skipped is the number of times that were over before this process came.
	skipped int
	// needed is the number of samples without which no verdict is possible.
	needed int
	// notes say what is unusual about the window, for the reason and the evidence; over is that of
	// the times that were over.
	notes []string
	over  string
}

// newWindow lays the window out for a process that comes at a time: at the beginning,
// or in the middle, or when it is over. The number of series that are sampled widens
// the interval where there would be too many samples, and needed is the number of
// samples without which no verdict is possible.
func newWindow(start, now time.Time, bake, interval time.Duration, series, needed int) window {
	w := window{start: start, bake: max(bake, 0), interval: interval, needed: needed}
	if w.interval <= 0 {
		w.interval = max(w.bake, 1)
	}
	if series > 0 && w.len() > max(maxSamples/series, 2) {
		w.interval = w.bake/time.Duration(max(maxSamples/series, 2)-1) + 1
		w.notes = append(w.notes, fmt.Sprintf("the interval was widened to %s so that at most %d samples are taken",
			w.interval.Round(time.Millisecond), maxSamples))
	}
	if start.IsZero() || start.After(now) {
		// A start in the future is the word of a clock that runs ahead of ours.
		w.start = now
		return w
	}
	if w.worn(now) {
		w.restart(now)
		return w
	}
	if w.skipped = w.latest(now); w.skipped > 0 {
		w.over = fmt.Sprintf("%d of %d sample times were over before this validator took over", w.skipped, w.len())
	}
	return w
}

// worn tells whether so much of the window is over that what is left shows too little: less than
// half of the sample times, or fewer than a verdict needs.
func (w window) worn(now time.Time) bool {
	skipped := w.latest(now)
	left := w.len() - skipped
	return skipped > 0 && (left < w.needed || left < (w.len()+1)/2 || now.After(w.end()))
}

// restart lays a worn window out anew, from now.
func (w *window) restart(now time.Time) {
	w.notes = append(w.notes, fmt.Sprintf(
		"a fresh window was taken, since %d of the %d sample times of the one from %s were over without a sample",
		w.latest(now), w.len(), w.start.UTC().Format(time.RFC3339)))
	w.start, w.skipped, w.over = now, 0, ""
}

// unusual is all that is said of the window.
func (w window) unusual() []string {
	if w.over == "" {
		return w.notes
	}
	return append(slices.Clip(w.notes), w.over)
}

// len is the number of sample times.
func (w window) len() int {
	n := int(w.bake/w.interval) + 1
	if w.bake%w.interval != 0 {
		n++
	}
	return n
}

// at is the time of a sample.
func (w window) at(number int) time.Time {
	return w.start.Add(min(time.Duration(number)*w.interval, w.bake))
}

// end is the time of the last sample.
func (w window) end() time.Time { return w.start.Add(w.bake) }

// first is the number of the first sample that is not before a time; one after the last where
// there is none.
func (w window) first(after time.Time) int {
	number := 0
	for number < w.len() && w.at(number).Before(after) {
		number++
	}
	return number
}

// latest is the number of the last sample whose time has come. A sample may be late
// until the next one is due.
func (w window) latest(now time.Time) int {
	since := now.Sub(w.start)
	switch {
	case since < 0:
		return 0
	case since >= w.bake:
		return w.len() - 1
	}
	return int(since / w.interval)
}
