package digest

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// metrics say whether people wait for their mails.
type metrics struct {
	now func() time.Time
	// due is when the oldest day was or is due that is not told, in nanoseconds.
	due      atomic.Int64
	mails    *prometheus.CounterVec
	unlisted *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, now func() time.Time) *metrics {
	m := &metrics{
		now: now,
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_recorder_digests_total", Help: "Mails that tell people what is on record in their name, by what became of them; failed ones are tried again, and of a day that was skipped nobody gets any.",
		}, []string{"result"}),
		unlisted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_recorder_digest_unlisted_total", Help: "Messages that are in nobody's mail: no known key vouches for them (unverified), or they name nobody whom a procedure document knows (nobody).",
		}, []string{"reason"}),
	}
	m.due.Store(now().UnixNano()) // Until it is known, it is taken for overdue.
	for _, result := range []string{
		string(ledger.DigestSent), string(ledger.DigestUnreachable), string(ledger.DigestUnknown), string(ledger.DigestGivenUp), string(ledger.DigestSkipped), "failed",
	} {
		m.mails.WithLabelValues(result)
	}
	m.unlisted.WithLabelValues("unverified")
	m.unlisted.WithLabelValues("nobody")
	if r != nil {
		r.MustRegister(m.mails, m.unlisted, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shipwarden_recorder_digest_overdue_seconds", Help: "For how long the oldest mail is due that tells somebody what is on record in their name; 0 where none is.",
		}, m.overdue))
	}
	return m
}

// waitFor takes over when the oldest day was or is due that is not told.
func (m *metrics) waitFor(due time.Time) { m.due.Store(due.UnixNano()) }

func (m *metrics) overdue() float64 {
	return max(m.now().Sub(time.Unix(0, m.due.Load())).Seconds(), 0)
}

// left counts what of a day is in nobody's mail.
func (m *metrics) left(l *list) {
	m.unlisted.WithLabelValues("unverified").Add(float64(l.unverified))
	m.unlisted.WithLabelValues("nobody").Add(float64(l.nobodys))
}
