package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
)

// lookAtLooksEvery is how old the gauge of later looks may be.
const lookAtLooksEvery = 30 * time.Second

// histories reads what targets carry, and the releases that they carry or that have them.
type histories interface {
	queue.Store
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
}

// unlooked shows on which targets nobody has looked at the release that they carry, though its
// procedure document has it looked at again (PD-6.1). Validators that do not run, or have no address
// of a target, cannot say so themselves. It decides nothing.
//
// A round costs one read of the newest event of every target of the document in effect, and of the
// release that it carries as long as that is to be looked at.
type unlooked struct {
	document func(ctx context.Context) (*policy.Index, error)
	byDigest func(ctx context.Context, digest string) (*policy.Index, error)
	store    histories
	// clock is that of the bus, by which looks are due.
	clock func(ctx context.Context) (time.Time, error)
	gauge *prometheus.GaugeVec
	// shown are the targets that have a number, and ends says of releases from when on nothing is
	// looked at any more. That comes from their events: what it means now the clock says each time.
	shown map[string]bool
	ends  map[string]time.Time
}

func newUnlooked(s *station.Station, id string) *unlooked {
	u := &unlooked{
		store: s.Store, clock: s.Store.Clock, gauge: unlookedGauge(), byDigest: s.Procedures.ByDigest, ends: map[string]time.Time{},
		document: func(ctx context.Context) (*policy.Index, error) {
			active, err := standing.ReadProcedure(ctx, s.Store, id)
			if err != nil {
				return nil, err
			}
			return s.Procedures.ByDigest(ctx, active.Digest)
		},
	}
	s.Registry.MustRegister(u.gauge)
	return u
}

func unlookedGauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shipwarden_later_look_missed",
		Help: "1 while nobody has looked for two intervals at the release that a target carries, though it is to be looked at again.",
	}, []string{"target"})
}

func (u *unlooked) run(ctx context.Context) error {
	again := time.NewTicker(lookAtLooksEvery)
	defer again.Stop()
	for {
		if err := u.look(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "it is not known which releases nobody looks at again", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// look shows every target of the document in effect. One that cannot be read stays as it was.
func (u *unlooked) look(ctx context.Context) error {
	index, err := u.document(ctx)
	if err != nil {
		return err
	}
	now, err := u.clock(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	shown, ends := map[string]bool{}, map[string]time.Time{}
	for _, t := range index.Document().GetTargets() {
		shown[t.GetId()] = true
		missed, release, err := u.missed(ctx, t.GetId(), now)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if end, known := u.ends[release]; known {
			ends[release] = end
		}
		u.gauge.WithLabelValues(t.GetId()).Set(map[bool]float64{true: 1}[missed])
	}
	for id := range u.shown {
		if !shown[id] {
			u.gauge.DeleteLabelValues(id)
		}
	}
	u.shown, u.ends = shown, ends
	return errors.Join(wrong...)
}

// missed reports whether nobody looks at what a target carries. While another release has one of
// its targets nobody is to look, and of what nobody knows there is nothing to be looked at.
func (u *unlooked) missed(ctx context.Context, id string, now time.Time) (missed bool, release string, err error) {
	t, err := standing.ReadTarget(ctx, u.store, id)
	if err != nil {
		return false, "", err
	}
	release = t.State.GetDeployed().GetRelease()
	if release == "" || t.State.GetUnknownSince() != "" || u.over(release, now) {
		return false, release, nil
	}
	h, err := u.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return false, release, fmt.Errorf("read release %s: %w", release, err)
	}
	if end, known := procedure.LooksEnd(h.State); known {
		u.ends[release] = end
	}
	if !procedure.LooksMissed(h.State, t.Since, now) {
		return false, release, nil
	}
	since, busy, err := u.free(ctx, h.State)
	if err != nil || busy || !procedure.LooksMissed(h.State, since, now) {
		return false, release, err
	}
	index, err := u.byDigest(ctx, h.State.ProcedureDigest)
	if err != nil {
		return false, release, err
	}
	return len(index.LaterChecks(h.State)) > 0, release, nil
}

// over reports whether nothing of that release is looked at any more, without reading it.
func (u *unlooked) over(release string, now time.Time) bool {
	end, known := u.ends[release]
	return known && !now.Before(end)
}

// free is since when all targets that still carry the release are as they are; busy says that another
// release has one of them.
func (u *unlooked) free(ctx context.Context, s procedure.State) (since time.Time, busy bool, err error) {
	for _, id := range s.Touched {
		t, err := standing.ReadTarget(ctx, u.store, id)
		if err != nil {
			return time.Time{}, false, err
		}
		if t.State.GetDeployed().GetRelease() != s.Release {
			continue
		}
		if held, err := queue.Held(ctx, u.store, id, t, s.Release); err != nil || held {
			return time.Time{}, held, err
		}
		if t.Since.After(since) {
			since = t.Since
		}
	}
	return since, false, nil
}
