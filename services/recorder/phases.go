package recorder

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// countEvery is how old the counts of releases in the metrics may be.
const countEvery = 15 * time.Second

// phases counts releases by phase for the metrics.
type phases struct {
	reader *ledger.Reader
	gauge  *prometheus.GaugeVec
}

func newPhases(r prometheus.Registerer, reader *ledger.Reader) *phases {
	p := &phases{reader: reader, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_releases", Help: "Releases on record, by the phase that they are in.",
	}, []string{"state"})}
	r.MustRegister(p.gauge)
	return p
}

func (p *phases) run(ctx context.Context) error {
	again := time.NewTicker(countEvery)
	defer again.Stop()
	for {
		p.count(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

func (p *phases) count(ctx context.Context) {
	counts, err := p.reader.Phases(ctx)
	if err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "counting releases failed", slog.Any("error", err))
		}
		return
	}
	for _, phase := range procedure.Phases() {
		p.gauge.WithLabelValues(phase.String()).Set(float64(counts[phase.String()]))
	}
}
