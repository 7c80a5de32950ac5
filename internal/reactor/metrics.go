package reactor

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all steps that share a registerer (PD-9.2).
type metrics struct {
	duration   *prometheus.HistogramVec
	deliveries *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		duration: shared(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "shipwarden_step_duration_seconds",
			Help:    "Time a step worked on one message, by how it ended.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600},
			// Native as well, for a Prometheus that asks for it: each bucket 10 % wide.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"step", "outcome"})),
		deliveries: shared(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_step_deliveries_total",
			Help: "Messages delivered to a step, by what was answered.",
		}, []string{"step", "result"})),
	}
}

// shared registers the collector, or returns the one that is registered already
// under its name.
func shared[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}
