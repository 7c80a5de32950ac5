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
	now      func() time.Time
	gauge    *prometheus.GaugeVec
	// shown are the targets that have a number, over the releases that are looked at no more.
	shown, over map[string]bool
}

func newUnlooked(s *station.Station, id string) *unlooked {
	u := &unlooked{
		store: s.Store, now: s.Now, gauge: unlookedGauge(), byDigest: s.Procedures.ByDigest,
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
	var wrong []error
	shown, over := map[string]bool{}, map[string]bool{}
	for _, t := range index.Document().GetTargets() {
		shown[t.GetId()] = true
		missed, release, err := u.missed(ctx, t.GetId())
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if u.over[release] {
			over[release] = true
		}
		u.gauge.WithLabelValues(t.GetId()).Set(map[bool]float64{true: 1}[missed])
	}
	for id := range u.shown {
		if !shown[id] {
			u.gauge.DeleteLabelValues(id)
		}
	}
	u.shown, u.over = shown, over
	return errors.Join(wrong...)
}

// missed reports whether nobody looks at what a target carries. While another release has one of
// its targets nobody is to look, and of what nobody knows there is nothing to be looked at.
func (u *unlooked) missed(ctx context.Context, id string) (missed bool, release string, err error) {
	t, err := standing.ReadTarget(ctx, u.store, id)
	if err != nil {
		return false, "", err
	}
	release = t.State.GetDeployed().GetRelease()
	if release == "" || t.State.GetUnknownSince() != "" || u.over[release] {
		return false, release, nil
	}
	h, err := u.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return false, release, fmt.Errorf("read release %s: %w", release, err)
	}
	if procedure.LooksOver(h.State, u.now()) {
		if u.over == nil {
			u.over = map[string]bool{}
		}
		u.over[release] = true
		return false, release, nil
	}
	if !procedure.LooksMissed(h.State, u.now()) {
		return false, release, nil
	}
	if busy, err := u.busy(ctx, h.State); err != nil || busy {
		return false, release, err
	}
	index, err := u.byDigest(ctx, h.State.ProcedureDigest)
	if err != nil {
		return false, release, err
	}
	return len(index.LaterChecks(h.State)) > 0, release, nil
}

// busy reports whether another release has a target that still carries this one.
func (u *unlooked) busy(ctx context.Context, s procedure.State) (bool, error) {
	for _, id := range s.Touched {
		t, err := standing.ReadTarget(ctx, u.store, id)
		if err != nil {
			return false, err
		}
		if t.State.GetDeployed().GetRelease() != s.Release {
			continue
		}
		if held, err := queue.Held(ctx, u.store, id, t, s.Release); err != nil || held {
			return held, err
		}
	}
	return false, nil
}
