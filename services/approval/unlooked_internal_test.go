package approval

import (
	"context"
	"errors"
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

// shelf holds what targets carry, since when, and the histories of releases, in memory.
type shelf struct {
	carries  map[string]*releasev1.Event
	since    map[string]time.Time
	releases map[string]procedure.State
	begun    map[string]*proceduretest.History
	broken   map[string]bool
}

var errShelf = errors.New("the bus is away")

func (s *shelf) Last(_ context.Context, aggregate string) (procedure.Entry, bool, error) {
	e, found := s.carries[aggregate]
	if s.broken[aggregate] {
		return procedure.Entry{}, false, errShelf
	}
	return procedure.Entry{Sequence: 1, Stored: s.since[aggregate], Event: e}, found, nil
}

func (s *shelf) Load(_ context.Context, aggregate string) (eventstore.History, error) {
	if s.broken[aggregate] {
		return eventstore.History{}, errShelf
	}
	return eventstore.History{State: s.releases[aggregate]}, nil
}

// Beginning is of a release that has a target: one whose claim counts.
func (s *shelf) Beginning(_ context.Context, aggregate string) (eventstore.History, error) {
	return eventstore.History{Entries: s.begun[aggregate].Entries}, nil
}

func carries(release, unknownSince string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
		State: &releasev1.TargetState{Deployed: &releasev1.Deployment{Release: release}, UnknownSince: unknownSince},
	}}}
}

// held is a target that carries one release while another one has it.
func held(release, by string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{
		Release: by, State: &releasev1.TargetState{Deployed: &releasev1.Deployment{Release: release}},
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

// unseen is one release that a target carries, and who shows whether somebody looks at it.
type unseen struct {
	*unlooked
	*shelf
	h      *proceduretest.History
	target string
	now    time.Time
}

func newUnseen(t *testing.T) *unseen {
	t.Helper()
	h := verifiedOnce(t)
	u := &unseen{h: h, target: h.State().Touched[0], shelf: &shelf{
		carries: map[string]*releasev1.Event{}, since: map[string]time.Time{}, releases: map[string]procedure.State{},
		begun: map[string]*proceduretest.History{}, broken: map[string]bool{},
	}}
	index := policy.NewIndex(&policyv1.Procedure{Targets: []*policyv1.Target{{Id: u.target}, {Id: "empty"}}})
	u.unlooked = &unlooked{
		document: func(context.Context) (*policy.Index, error) { return index, nil },
		byDigest: func(context.Context, string) (*policy.Index, error) { return index, nil },
		store:    u.shelf, clock: func(context.Context) (time.Time, error) { return u.now, nil },
		gauge: unlookedGauge(), ends: map[string]time.Time{},
	}
	if procedure.LookLasts(h.State()) <= 0 {
		t.Fatal("a look takes no time")
	}
	u.becomes(0, carries(h.Release, ""))
	return u
}

// becomes is what became of the target so long after the release was verified.
func (u *unseen) becomes(after time.Duration, e *releasev1.Event) {
	u.carries["tgt."+u.target], u.since["tgt."+u.target] = e, u.h.State().Verified.Add(after)
}

// shown looks so long after the release was verified, and compares.
func (u *unseen) shown(t *testing.T, when string, after time.Duration, missed float64) {
	t.Helper()
	u.now = u.h.State().Verified.Add(after)
	u.releases["rel."+u.h.Release] = u.h.State()
	if err := u.look(t.Context()); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if got := testutil.ToFloat64(u.gauge.WithLabelValues(u.target)); got != missed {
		t.Errorf("%s: shows %v, want %v", when, got, missed)
	}
	if got := testutil.ToFloat64(u.gauge.WithLabelValues("empty")); got != 0 {
		t.Errorf("%s: shows %v of a target that carries nothing", when, got)
	}
}

// TestWhatNobodyLooksAtIsShown: after two intervals without a look, until there is one, and no
// longer than somebody could do something about it.
func TestWhatNobodyLooksAtIsShown(t *testing.T) {
	u := newUnseen(t)
	look := procedure.LookLasts(u.h.State())
	u.shown(t, "before the first", 59*time.Minute, 0)
	u.shown(t, "when it is due", time.Hour, 0)
	u.shown(t, "when the next one is due, and may be under way", 2*time.Hour, 0)
	u.shown(t, "a moment before that one would be told", 2*time.Hour+look-1, 0)
	u.shown(t, "when it would have been told", 2*time.Hour+look, 1)
	u.shown(t, "later", 9*time.Hour, 1)
	u.shown(t, "a moment before nobody can look any more", 13*time.Hour-1, 1)

	u.becomes(0, carries(u.h.Release, "other"))
	u.shown(t, "when nobody knows what it carries", 9*time.Hour, 0)
	u.becomes(0, carries(u.h.Release, ""))
	u.broken["rel."+u.h.Release] = true
	u.gauge.WithLabelValues(u.target).Set(1)
	if err := u.look(t.Context()); !errors.Is(err, errShelf) || testutil.ToFloat64(u.gauge.WithLabelValues(u.target)) != 1 {
		t.Errorf("what cannot be read is shown otherwise than before, or nobody is told: %v", err)
	}
	u.broken["rel."+u.h.Release] = false

	verified := u.h.State().Verified
	u.h.Advance(verified.Add(9 * time.Hour).Sub(u.h.Now))
	u.h.Do(t, "", proceduretest.LaterLook(u.h.State(), u.h.Now, releasev1.CheckResult_VERDICT_PASS))
	u.shown(t, "when somebody has looked", 10*time.Hour+59*time.Minute, 0)
	u.shown(t, "when nobody does once more", 11*time.Hour+look, 1)
	u.shown(t, "when it is too late for that", 13*time.Hour, 0)
	u.broken["rel."+u.h.Release] = true
	u.shown(t, "it is not even read any more", 13*time.Hour, 0)
}

// TestWhatAnotherReleaseHasIsNotMissed: while it has the target nobody is to look, and when it leaves
// it as it was two intervals begin.
func TestWhatAnotherReleaseHasIsNotMissed(t *testing.T) {
	u := newUnseen(t)
	look := procedure.LookLasts(u.h.State())
	other := proceduretest.New(proceduretest.Request(func(r *releasev1.Request) { r.IdempotencyKey = "another" }))
	other.To(t, procedure.PhaseVerify)
	u.begun["rel."+other.Release] = other
	u.becomes(30*time.Minute, held(u.h.Release, other.Release))
	u.shown(t, "while another release has it", 5*time.Hour, 0)
	u.becomes(5*time.Hour+20*time.Minute, carries(u.h.Release, ""))
	u.shown(t, "when it has just left it", 5*time.Hour+20*time.Minute, 0)
	u.shown(t, "while somebody looks", 5*time.Hour+20*time.Minute+look, 0)
	u.shown(t, "a moment before two intervals have gone by", 7*time.Hour+look-1, 0)
	u.shown(t, "when two have", 7*time.Hour+look, 1)
}

// TestAClockThatJumpsMakesNobodyForgetARelease: what is shown is what the clock of the bus says now,
// whatever it said before.
func TestAClockThatJumpsMakesNobodyForgetARelease(t *testing.T) {
	u := newUnseen(t)
	u.shown(t, "while nobody looks", 9*time.Hour, 1)
	u.shown(t, "by a clock that is days ahead", 100*time.Hour, 0)
	u.shown(t, "when it is right again", 9*time.Hour, 1)
	u.shown(t, "by a clock that is far behind", -100*time.Hour, 0)
	u.shown(t, "when that is right again", 9*time.Hour, 1)
	u.clock = func(context.Context) (time.Time, error) { return time.Time{}, errShelf }
	if err := u.look(t.Context()); !errors.Is(err, errShelf) || testutil.ToFloat64(u.gauge.WithLabelValues(u.target)) != 1 {
		t.Errorf("without a clock it is shown otherwise than before, or nobody is told: %v", err)
	}
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
			end, known := procedure.LooksEnd(h.State())
			if at := h.State().Verified.Add(after); procedure.LooksMissed(h.State(), time.Time{}, at) || !known || at.Before(end) {
				t.Errorf("%s: after %s something is missed, or not over", name, after)
			}
		}
	}
}
