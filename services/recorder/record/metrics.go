package record

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// metrics tell how the recorder does.
type metrics struct {
	stream, last atomic.Uint64
	stopped      *prometheus.GaugeVec
	recorded     prometheus.Counter
	rejected     prometheus.Counter
	interrupted  prometheus.Counter
	notable      notable
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		notable: newNotable(r),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shipwarden_recorder_stopped",
			Help: "1 where recording is stopped for that reason until a person has looked.",
		}, []string{"reason"}),
		recorded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipwarden_recorder_events_total", Help: "Messages that were recorded.",
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipwarden_recorder_rejected_events_total", Help: "Messages that were recorded and do not count.",
		}),
		interrupted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipwarden_recorder_interruptions_total", Help: "Times that recording was interrupted and began again.",
		}),
	}
	for _, reason := range []string{ReasonRegressed, ReasonEpoch, ReasonGap} {
		m.stopped.WithLabelValues(reason).Set(0)
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.stopped, m.recorded, m.rejected, m.interrupted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shipwarden_recorder_last_sequence", Help: "Sequence of the last message on record.",
		}, func() float64 { return float64(m.last.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shipwarden_recorder_lag_events", Help: "Messages in the stream that are not on record yet.",
		}, func() float64 { return float64(max(m.stream.Load(), m.last.Load()) - m.last.Load()) }),
	)
	return m
}

// seen notes how far the stream goes.
func (m *metrics) seen(sequence uint64) {
	for {
		have := m.stream.Load()
		if sequence <= have || m.stream.CompareAndSwap(have, sequence) {
			return
		}
	}
}

func (m *metrics) wrote(messages int, w ledger.Written) {
	m.last.Store(w.Checkpoint.Sequence)
	m.recorded.Add(float64(messages))
	m.rejected.Add(float64(w.Rejected))
}
