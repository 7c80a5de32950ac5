package record

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/exemplar"
	"github.com/blackdice/shipwarden/procedure"
)

// outcomes counts how releases ended. A release is counted by the process that closes
// its record, which one process does once: neither a second delivery nor a restart nor
// a second recorder counts it again.
type outcomes struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newOutcomes(r prometheus.Registerer) outcomes {
	o := outcomes{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_releases_ended_total", Help: "Releases whose record was closed.",
		}, []string{"environment", "trigger", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shipwarden_release_duration_seconds", Help: "Time from a request to the close of its record.",
			// From seconds to a week: most of it is people's time.
			Buckets: []float64{10, 30, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600},
			// Native as well, for a Prometheus that asks for it: each bucket 10 % wide.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"environment", "outcome"}),
	}
	if r != nil {
		r.MustRegister(o.total, o.duration)
	}
	return o
}

func (o outcomes) observe(s procedure.State, closed time.Time) {
	environment, outcome := s.Request.GetEnvironment(), word(s.Outcome.String(), "OUTCOME_")
	o.total.WithLabelValues(environment, word(s.Request.GetTrigger().String(), "TRIGGER_"), outcome).Inc()
	exemplar.Observe(o.duration.WithLabelValues(environment, outcome), closed.Sub(s.RequestedAt).Seconds(), s.Release)
}

// word is an enum's value as labels have it.
func word(value, prefix string) string { return strings.ToLower(strings.TrimPrefix(value, prefix)) }
