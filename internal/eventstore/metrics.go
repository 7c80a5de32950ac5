package eventstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all stores that share a registerer (PD-9.2).
type metrics struct {
	appended  *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	uncounted *prometheus.CounterVec
	publishes *prometheus.CounterVec
	messages  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		appended: shared(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_events_appended_total",
			Help: "Events that this service appended to the record, by type.",
		}, []string{"event"})),
		rejected: shared(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_events_rejected_total",
			Help: "Messages found in the record that do not count, by reason.",
		}, []string{"reason"})),
		uncounted: shared(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_events_uncounted_total",
			Help: "Authentic events found in histories of releases in which they do not count, by type.",
		}, []string{"event"})),
		publishes: shared(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_append_publishes_total",
			Help: "Publishes to the record, each one message or one atomic batch, by result.",
		}, []string{"result"})),
		messages: shared(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipwarden_append_messages_total",
			Help: "Messages in all publishes to the record, repetitions included.",
		})),
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
