package evidence

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

const (
	// stream is where the bus keeps the bucket.
	stream = "OBJ_" + eventstore.BucketEvidence
	// perChunk and perDocument bound what is stored besides the content, in bytes: subjects,
	// headers and checksums, and the document's description.
	perChunk, perDocument = 256, 2 << 10
	// measureEvery is how old the measure in the metrics may be.
	measureEvery = 15 * time.Second
	// measureTime bounds one look at how full the store is.
	measureTime = 5 * time.Second
	// codeNoRoom is the bus's word for a stream that takes nothing any more.
	codeNoRoom jetstream.ErrorCode = 10077
)

// Fill is how full the store is, in bytes. A limit of 0 says that there is none but the
// disk's.
type Fill struct{ Used, Limit uint64 }

// Fill asks the bus how full the store is. Errors are the client's.
func (s *Store) Fill(ctx context.Context) (Fill, error) {
	at, err := s.js.Stream(ctx, stream)
	if err != nil {
		return Fill{}, err
	}
	info := at.CachedInfo()
	return Fill{Used: info.State.Bytes, Limit: uint64(max(info.Config.MaxBytes, 0))}, nil
}

// room fails with ErrFull where the store has none for so many bytes.
func (s *Store) room(ctx context.Context, size int) error {
	f, err := s.Fill(ctx)
	if err != nil {
		return err
	}
	chunks := size/chunkSize + 1
	if f.Limit > 0 && f.Used+uint64(size+chunks*perChunk+perDocument) > f.Limit { //nolint:gosec // A size is bounded, and not negative.
		return ErrFull
	}
	return nil
}

// refusedForRoom reports whether the bus refused for want of room: somebody else may have
// taken it meanwhile.
func refusedForRoom(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeNoRoom
}

// metrics say how full the store is, and what it did not take (PD-9.2).
type metrics struct {
	used, limit prometheus.Gauge
	refused     *prometheus.CounterVec
}

// Metrics has the store count there, and Run measure. It is called once, before either.
func (s *Store) Metrics(r prometheus.Registerer) {
	s.metrics = &metrics{
		used: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "shipwarden_evidence_bytes", Help: "Bytes that the store of evidence holds.",
		}),
		limit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "shipwarden_evidence_limit_bytes", Help: "Bytes that the store of evidence may hold; 0 where nothing but the disk bounds it.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_evidence_unkept_total", Help: "Documents that could not be kept as evidence, by reason.",
		}, []string{"reason"}),
	}
	// A counter that begins with the first loss shows no increase: it is there before.
	for _, reason := range []string{reasonFailed, reasonFull, reasonTooLarge} {
		s.metrics.refused.WithLabelValues(reason)
	}
	r.MustRegister(s.metrics.used, s.metrics.limit, s.metrics.refused)
}

// The reasons for which a document is not kept, as the label has them.
const reasonFailed, reasonFull, reasonTooLarge = "failed", "full", "too_large"

// unkept counts a document that was not kept.
func (m *metrics) unkept(err error) {
	if m == nil {
		return
	}
	reason := reasonFailed
	switch {
	case errors.Is(err, ErrFull):
		reason = reasonFull
	case errors.Is(err, ErrTooLarge):
		reason = reasonTooLarge
	}
	m.refused.WithLabelValues(reason).Inc()
}

// Run measures how full the store is until the context ends. Without metrics it does
// nothing. A measure that fails leaves the last one where it is.
func (s *Store) Run(ctx context.Context) error {
	again := time.NewTicker(measureEvery)
	defer again.Stop()
	for {
		s.measure(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (s *Store) measure(ctx context.Context) {
	if s.metrics == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	f, err := s.Fill(asking)
	if err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "cannot tell how full the store of evidence is", slog.Any("error", err))
		}
		return
	}
	s.metrics.used.Set(float64(f.Used))
	s.metrics.limit.Set(float64(f.Limit))
}
