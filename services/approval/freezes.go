package approval

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// lookAtFreezesEvery is how old the gauge of freezes may be.
const lookAtFreezesEvery = 15 * time.Second

// freezes shows which freezes of the document in effect hold now, wherever they hold: what
// somebody wants to see beside a release that waits (PD-9.2). It decides nothing.
type freezes struct {
	document func(ctx context.Context) (*policyv1.Procedure, error)
	now      func() time.Time
	gauge    *prometheus.GaugeVec
	// shown are the freezes that have a number.
	shown map[string]bool
}

func newFreezes(s *station.Station, id string) *freezes {
	f := &freezes{now: s.Now, gauge: freezeGauge(), document: func(ctx context.Context) (*policyv1.Procedure, error) {
		active, err := standing.ReadProcedure(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		index, err := s.Procedures.ByDigest(ctx, active.Digest)
		if err != nil {
			return nil, err
		}
		return index.Document(), nil
	}}
	s.Registry.MustRegister(f.gauge)
	return f
}

func freezeGauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_freeze_active",
		Help: "1 while a freeze of the procedure document in effect holds, 0 while it does not; of a window in which releases may start, 1 outside of it.",
	}, []string{"freeze"})
}

func (f *freezes) run(ctx context.Context) error {
	again := time.NewTicker(lookAtFreezesEvery)
	defer again.Stop()
	for {
		document, err := f.document(ctx)
		switch {
		case err == nil:
			f.show(document)
		case ctx.Err() == nil:
			slog.WarnContext(ctx, "looking at the freezes failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// show takes over the freezes of a document. One that cannot be judged holds: that is what
// the steps make of it. Those that are not in it any more go last: whoever asks meanwhile
// misses none that is.
func (f *freezes) show(document *policyv1.Procedure) {
	before := f.shown
	f.shown = map[string]bool{}
	for _, one := range document.GetFreezes() {
		one = proto.CloneOf(one)
		one.Environments, one.Services, one.Targets, one.Customers = nil, nil, nil, nil
		verdict, err := freeze.Evaluate([]*policyv1.Freeze{one}, f.now(), freeze.Scope{})
		holds := 0.0
		if err != nil || len(verdict.Reasons) > 0 {
			holds = 1
		}
		f.shown[one.GetName()] = true
		f.gauge.WithLabelValues(one.GetName()).Set(holds)
	}
	for name := range before {
		if !f.shown[name] {
			f.gauge.DeleteLabelValues(name)
		}
	}
}
