package approval

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// shelf holds what targets carry and the histories of releases, in memory.
type shelf struct {
	carries  map[string]*releasev1.Event
	releases map[string]procedure.State
	broken   map[string]bool
}

var errShelf = errors.New("the bus is away")

func (s *shelf) Last(_ context.Context, aggregate string) (procedure.Entry, bool, error) {
	e, found := s.carries[aggregate]
	if s.broken[aggregate] {
		return procedure.Entry{}, false, errShelf
	}
	return procedure.Entry{Sequence: 1, Event: e}, found, nil
}

func (s *shelf) Load(_ context.Context, aggregate string) (eventstore.History, error) {
	if s.broken[aggregate] {
		return eventstore.History{}, errShelf
	}
	return eventstore.History{State: s.releases[aggregate]}, nil
}

// Beginning is of a release that has a target: one whose claim counts.
func (s *shelf) Beginning(_ context.Context, aggregate string) (eventstore.History, error) {
	h := proceduretest.New(proceduretest.Request())
	h.Release = strings.TrimPrefix(aggregate, "rel.")
	return eventstore.History{Entries: h.Entries}, nil
}

func carries(release, unknownSince string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
		State: &releasev1.TargetState{Deployed: &releasev1.Deployment{Release: release}, UnknownSince: unknownSince},
	}}}
}

// verifiedOnce is a release that was verified and is looked at again every hour, ten times.
func verifiedOnce(t *testing.T) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	h.Do(t, "", proceduretest.LookedAtAgain(h.Asked, h.Now, time.Hour, 2))
	h.To(t, procedure.PhaseClosed)
	return h
}

// TestWhatNobodyLooksAtIsShown: after two intervals without a look, until there is one, and no
// longer than somebody could do something about it.
func TestWhatNobodyLooksAtIsShown(t *testing.T) {
	h := verifiedOnce(t)
	target := h.State().Touched[0]
	store := &shelf{carries: map[string]*releasev1.Event{}, releases: map[string]procedure.State{}, broken: map[string]bool{}}
	document := &policyv1.Procedure{Targets: []*policyv1.Target{{Id: target}, {Id: "empty"}}}
	index := func() *policy.Index { return policy.NewIndex(document) }
	var now time.Time
	u := &unlooked{
		document: func(context.Context) (*policy.Index, error) { return index(), nil },
		byDigest: func(context.Context, string) (*policy.Index, error) { return index(), nil },
		store:    store, now: func() time.Time { return now }, gauge: unlookedGauge(),
	}
	shown := func(when string, missed float64) {
		t.Helper()
		store.releases["rel."+h.Release] = h.State()
		if err := u.look(t.Context()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := testutil.ToFloat64(u.gauge.WithLabelValues(target)); got != missed {
			t.Errorf("%s: shows %v, want %v", when, got, missed)
		}
		if got := testutil.ToFloat64(u.gauge.WithLabelValues("empty")); got != 0 {
			t.Errorf("%s: shows %v of a target that carries nothing", when, got)
		}
	}
	verified, look := h.State().Verified, procedure.LookLasts(h.State())
	if look <= 0 {
		t.Fatal("a look takes no time")
	}
	store.carries["tgt."+target] = carries(h.Release, "")
	for _, step := range []struct {
		when   string
		after  time.Duration
		missed float64
	}{
		{"before the first", 59 * time.Minute, 0},
		{"when it is due", time.Hour, 0},
		{"when the next one is due, and may be under way", 2 * time.Hour, 0},
		{"a moment before that one would be told", 2*time.Hour + look - 1, 0},
		{"when it would have been told", 2*time.Hour + look, 1},
		{"later", 9 * time.Hour, 1},
		{"a moment before nobody can look any more", 13*time.Hour - 1, 1},
	} {
		now = verified.Add(step.after)
		shown(step.when, step.missed)
	}
	now = verified.Add(9 * time.Hour)
	store.carries["tgt."+target] = carries(h.Release, "other")
	shown("when nobody knows what it carries", 0)
	store.carries["tgt."+target] = carries(h.Release, "")
	store.broken["rel."+h.Release] = true
	u.gauge.WithLabelValues(target).Set(1)
	if err := u.look(t.Context()); !errors.Is(err, errShelf) || testutil.ToFloat64(u.gauge.WithLabelValues(target)) != 1 {
		t.Errorf("what cannot be read is shown otherwise than before, or nobody is told: %v", err)
	}
	store.broken = nil

	h.Advance(verified.Add(9 * time.Hour).Sub(h.Now))
	h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, releasev1.CheckResult_VERDICT_PASS))
	now = verified.Add(10*time.Hour + 59*time.Minute)
	shown("when somebody has looked", 0)
	now = verified.Add(11*time.Hour + look)
	shown("when nobody does once more", 1)
	now = verified.Add(13 * time.Hour)
	shown("when it is too late for that", 0)
	store.broken = map[string]bool{"rel." + h.Release: true}
	shown("it is not even read any more", 0)
}

// TestWhatIsNotToBeLookedAtIsNotMissed: a release that is not looked at again, one that is verified no
// more, and one of which there is nothing to look at.
func TestWhatIsNotToBeLookedAtIsNotMissed(t *testing.T) {
	never := proceduretest.New(proceduretest.Request())
	never.To(t, procedure.PhaseClosed)
	revoked := verifiedOnce(t)
	revoked.Advance(time.Hour)
	revoked.Do(t, "", proceduretest.LaterLook(revoked.State(), revoked.Now, releasev1.CheckResult_VERDICT_FAIL))
	for name, h := range map[string]*proceduretest.History{"never": never, "revoked": revoked} {
		for _, after := range []time.Duration{time.Hour, 5 * time.Hour, 12 * time.Hour} {
			if at := h.State().Verified.Add(after); procedure.LooksMissed(h.State(), at) || !procedure.LooksOver(h.State(), at) {
				t.Errorf("%s: after %s something is missed, or not over", name, after)
			}
		}
	}
}
