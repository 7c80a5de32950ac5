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

// phases counts releases by phase for the metrics, and says which are under way. None of
// its labels is a release: what is open of a service and a version is one series while it
// is, and none afterwards.
type phases struct {
	reader  *ledger.Reader
	gauge   *prometheus.GaugeVec
	info    *prometheus.GaugeVec
	pending *prometheus.GaugeVec
	// environments are those that have a number.
	environments map[string]bool
	// underWay are the series of info, by their labels.
	underWay map[[4]string]bool
}

func newPhases(r prometheus.Registerer, reader *ledger.Reader) *phases {
	p := &phases{reader: reader, environments: map[string]bool{}, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_releases", Help: "Releases on record, by the phase that they are in.",
	}, []string{"state"}), info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_release_info", Help: "1 for every service, environment and version of which a release is open, by the phase that it is in.",
	}, []string{"service", "environment", "version", "phase"}), pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_approvals_pending", Help: "Releases that wait for approvals.",
	}, []string{"environment"})}
	r.MustRegister(p.gauge, p.info, p.pending)
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
	open, err := p.reader.Open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "listing open releases failed", slog.Any("error", err))
		}
		return
	}
	p.show(open)
}

// show takes over what is open. An environment that had something open keeps its number,
// which is 0 then, so that an alert that looks at it ends. What is not open any more goes
// last: whoever asks meanwhile misses nothing that is.
func (p *phases) show(open []ledger.UnderWay) {
	before := p.underWay
	p.underWay = map[[4]string]bool{}
	pending := map[string]int64{}
	for environment := range p.environments {
		pending[environment] = 0
	}
	for _, o := range open {
		labels := [4]string{o.Service, o.Environment, o.Version, o.Phase}
		p.underWay[labels] = true
		p.info.WithLabelValues(labels[:]...).Set(1)
		if o.Phase == procedure.PhaseApprove.String() {
			pending[o.Environment] += o.Releases
		} else {
			pending[o.Environment] += 0
		}
	}
	for environment, n := range pending {
		p.environments[environment] = true
		p.pending.WithLabelValues(environment).Set(float64(n))
	}
	for labels := range before {
		if !p.underWay[labels] {
			p.info.DeleteLabelValues(labels[:]...)
		}
	}
}
