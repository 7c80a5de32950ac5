// Package exemplar observes durations with the release that one of them is about: a
// sample of a bucket, never a label, so that it makes no series (PD-9.2). Whoever asks for
// metrics as OpenMetrics sees it, and finds the release of a slow step at once.
package exemplar

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// label is the exemplar's, and longest what fits beside it: OpenMetrics bounds names and
// values together.
const (
	label   = "release"
	longest = prometheus.ExemplarMaxRunes - len(label)
)

// Observe is an observation with the release; without one where there is none, or where
// its name is none that fits. It may be called concurrently.
func Observe(o prometheus.Observer, value float64, release string) {
	with, ok := o.(prometheus.ExemplarObserver)
	if !ok || release == "" || !utf8.ValidString(release) || utf8.RuneCountInString(release) > longest {
		o.Observe(value)
		return
	}
	with.ObserveWithExemplar(value, prometheus.Labels{label: release})
}

// Of is the release of a subject such as rel.<release>.approval.requested; empty for any
// other.
func Of(subject string) string {
	words := strings.SplitN(subject, ".", 3)
	if len(words) != 3 || words[0] != "rel" {
		return ""
	}
	return words[1]
}
