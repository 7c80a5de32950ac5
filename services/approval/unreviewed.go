package approval

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lookAtReviewsEvery is how old the gauge of reviews may be.
const lookAtReviewsEvery = 15 * time.Second

// unreviewed shows how many reviews are owed of procedure documents that took effect around
// the change control, and whether they are due, so that people are called before releases
// wait (PD-9.4). It decides nothing.
type unreviewed struct {
	standing func(ctx context.Context) (*releasev1.ProcedureStanding, error)
	now      func() time.Time
	gauge    *prometheus.GaugeVec
}

func newUnreviewed(s *station.Station, id string) *unreviewed {
	u := &unreviewed{now: s.Now, gauge: unreviewedGauge(), standing: func(ctx context.Context) (*releasev1.ProcedureStanding, error) {
		active, err := standing.ReadProcedure(ctx, s.Store, id)
		return active.Document.Standing, err
	}}
	s.Registry.MustRegister(u.gauge)
	return u
}

func unreviewedGauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_procedure_reviews",
		Help: "Reviews that are owed of procedure documents that took effect around the change control: not due yet, overdue, and blocking normal releases.",
	}, []string{"state"})
}

func (u *unreviewed) run(ctx context.Context) error {
	again := time.NewTicker(lookAtReviewsEvery)
	defer again.Stop()
	for {
		s, err := u.standing(ctx)
		switch {
		case err == nil:
			u.show(s)
		case ctx.Err() == nil:
			slog.WarnContext(ctx, "looking at the reviews of procedure documents failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// show counts each review once.
func (u *unreviewed) show(s *releasev1.ProcedureStanding) {
	overdue, blocking := procedure.DebtsOverdue(s, u.now())
	for state, n := range map[string]int{
		"owed": len(s.GetDebts()) - len(overdue), "overdue": len(overdue) - len(blocking), "blocking": len(blocking),
	} {
		u.gauge.WithLabelValues(state).Set(float64(n))
	}
}
