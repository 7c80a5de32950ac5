package freeze_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// drawn is a window, and the minutes at which it is active.
type drawn struct {
	freeze *policyv1.Freeze
	active []bool
}

// document is a document whose windows are known minute by minute.
type document struct {
	*policyv1.Procedure
	windows []drawn
}

// subject is one customer on one target; empty where there is none.
type subject struct{ target, customer string }

// Ways around a window.
const (
	none = iota
	overridden
	bypassed
	finishing
)

// scan says of a release what a document means for it, minute by minute: in words of its
// own, and with none of what it is compared with.
type scan struct {
	document document
	release  procedure.State
	subjects []subject
	ways     []int
}

func newScan(d document, s procedure.State) scan {
	c := scan{document: d, release: s}
	for _, wave := range s.Request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			alone := true
			for _, target := range d.GetTargets() {
				for _, customer := range target.GetCustomers() {
					if target.GetId() == id {
						c.subjects, alone = append(c.subjects, subject{id, customer}), false
					}
				}
			}
			if alone {
				c.subjects = append(c.subjects, subject{id, ""})
			}
		}
	}
	if len(c.subjects) == 0 {
		c.subjects = []subject{{}}
	}
	for _, w := range d.windows {
		c.ways = append(c.ways, c.wayAround(w.freeze))
	}
	return c
}

func everyOr(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }

// concerns says of a window that denies whether it concerns the release: it is enough that
// it does so by any target and by any customer.
func (c scan) concerns(f *policyv1.Freeze) bool {
	target, customer := false, false
	for _, s := range c.subjects {
		target, customer = target || everyOr(f.GetTargets(), s.target), customer || everyOr(f.GetCustomers(), s.customer)
	}
	return target && customer && c.here(f)
}

func (c scan) here(f *policyv1.Freeze) bool {
	return everyOr(f.GetEnvironments(), c.release.Request.GetEnvironment()) && everyOr(f.GetServices(), c.release.Request.GetService())
}

// wayAround is how the release goes around a window: an exception that counts comes first.
func (c scan) wayAround(f *policyv1.Freeze) int {
	for _, o := range c.release.Overrides {
		if o.Freeze == f.GetName() && o.Digest == freeze.Digest(f) && c.mayExcept(f, o) {
			return overridden
		}
	}
	switch {
	case c.release.Request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY && f.GetBypassable():
		return bypassed
	case len(c.release.Begun) > 0 && f.GetOverrun() == policyv1.Freeze_OVERRUN_FINISH:
		return finishing
	}
	return none
}

func (c scan) mayExcept(f *policyv1.Freeze, o procedure.Override) bool {
	for _, p := range c.document.GetPeople() {
		if p.GetId() == o.Person && (p.GetMachine() || p.GetInactive()) {
			return false
		}
	}
	may := slices.Contains(f.GetOverridePeople(), o.Person)
	for _, g := range c.document.GetGroups() {
		may = may || slices.Contains(g.GetMembers(), o.Person) && slices.Contains(o.Groups, g.GetName()) && slices.Contains(f.GetOverrideGroups(), g.GetName())
	}
	return may
}

// holding names the windows that hold at a minute, in the order of the document; those
// that the release goes around among them where it is asked for all.
func (c scan) holding(minute int, all bool) (names []string) {
	holds := make([]bool, len(c.document.windows))
	for i, w := range c.document.windows {
		if w.freeze.GetKind() != policyv1.Freeze_KIND_ALLOW {
			holds[i] = w.active[minute] && c.concerns(w.freeze) && (all || c.ways[i] == none)
		}
	}
	for _, s := range c.subjects {
		open, closed := false, []int(nil)
		for i, w := range c.document.windows {
			f := w.freeze
			if f.GetKind() == policyv1.Freeze_KIND_ALLOW && c.here(f) && everyOr(f.GetTargets(), s.target) && everyOr(f.GetCustomers(), s.customer) {
				closed, open = append(closed, i), open || w.active[minute] || !all && c.ways[i] != none
			}
		}
		for _, i := range closed {
			holds[i] = holds[i] || !open
		}
	}
	for i, w := range c.document.windows {
		if holds[i] {
			names = append(names, w.freeze.GetName())
		}
	}
	return names
}

// those are the names among some whose window is so.
func (c scan) those(names []string, is func(i int) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !is(slices.IndexFunc(c.document.windows, func(w drawn) bool { return w.freeze.GetName() == name }))
	})
}

// takingBack are those among the names of windows that hold by which a release that has begun is
// taken back.
func (c scan) takingBack(held []string) []string {
	return c.those(held, func(i int) bool {
		return len(c.release.Begun) > 0 && c.document.windows[i].freeze.GetOverrun() == policyv1.Freeze_OVERRUN_ROLL_BACK
	})
}

// TestStartOfAReleaseEqualsAScanOfEveryMinute has releases that windows concern by
// environment, service, target and customer, that go around some of them, and that two
// documents hold: their own and the one in effect.
func TestStartOfAReleaseEqualsAScanOfEveryMinute(t *testing.T) {
	const compared = after - 8*24*60
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		jump, err := time.Parse(time.RFC3339, rapid.SampledFrom(jumps[zone]).Draw(t, "jump"))
		if err != nil {
			t.Fatal(err)
		}
		at := jump.Add(time.Duration(rapid.IntRange(-2*24*60, 24*60).Draw(t, "at")) * time.Minute)
		documents := drawDocuments(t, at, newModel(at))
		release := drawRelease(t, documents)
		indexes, scans := make([]*policy.Index, len(documents)), make([]scan, len(documents))
		for i, d := range documents {
			indexes[i], scans[i] = policy.NewIndex(d.Procedure), newScan(d, release)
			judgedLikeScanned(t, indexes[i], scans[i], at, compared)
		}
		free := -1
		for minute := 0; minute < compared && free < 0; minute++ {
			if len(scans[0].holding(before+minute, false))+len(scans[1].holding(before+minute, false)) == 0 {
				free = minute
			}
		}
		// Whoever waits until the last moment that is named, and looks again, starts then.
		begins := at
		for held := true; held && begins.Before(at.Add(compared*time.Minute)); {
			held = false
			for _, index := range indexes {
				j, err := index.Freezes(release, begins)
				if err != nil {
					t.Fatal(err)
				}
				if j.Until.After(begins) {
					begins, held = j.Until, true
				}
			}
		}
		switch want := at.Add(time.Duration(free) * time.Minute); {
		case free >= 0 && !begins.Equal(want):
			t.Fatalf("by both documents at %v: it begins %v, the scan says %v", at, begins.UTC(), want.UTC())
		case free < 0 && begins.Before(at.Add(compared*time.Minute)):
			t.Fatalf("by both documents at %v: it begins %v, the scan finds no start", at, begins.UTC())
		}
	})
}

// judgedLikeScanned compares what one document means at a moment with the scan.
func judgedLikeScanned(t *rapid.T, index *policy.Index, c scan, at time.Time, compared int) {
	j, err := index.Freezes(c.release, at)
	if err != nil {
		t.Fatal(err)
	}
	held, all := c.holding(before, false), c.holding(before, true)
	way := func(way int) []string { return c.those(all, func(i int) bool { return c.ways[i] == way }) }
	for _, got := range []struct {
		what    string
		want    []string
		reasons []*releasev1.HoldReason
	}{
		{"holding", held, j.Reasons},
		{"overridden", way(overridden), j.Overridden},
		{"bypassed", way(bypassed), j.Bypassed},
		{"finishing", way(finishing), j.Finishing},
		{"taking it back", c.takingBack(held), j.RollBack},
	} {
		if !slices.Equal(got.want, subjectsOf(got.reasons)) {
			t.Fatalf("at %v %s: %q, the scan says %q", at, got.what, subjectsOf(got.reasons), got.want)
		}
	}
	lookedAt, err := index.TakesBack(c.release, at)
	if err != nil {
		t.Fatal(err)
	}
	for minute := 0; len(j.RollBack) == 0 && len(c.release.Begun) > 0 && minute < compared; minute++ {
		if len(c.takingBack(c.holding(before+minute, false))) > 0 {
			if when := at.Add(time.Duration(minute) * time.Minute); lookedAt.IsZero() || lookedAt.After(when) {
				t.Fatalf("at %v: the scan says that it is taken back at %v, and it is looked at again at %v", at, when.UTC(), lookedAt.UTC())
			}
			break
		}
	}
	for minute := range compared {
		if len(c.holding(before+minute, false)) == 0 {
			if want := at.Add(time.Duration(minute) * time.Minute); !j.Until.Equal(want) {
				t.Fatalf("at %v: earliest start %v, the scan says %v", at, j.Until.UTC(), want.UTC())
			}
			return
		}
	}
	if j.Until.Before(at.Add(time.Duration(compared) * time.Minute)) {
		t.Fatalf("at %v: earliest start %v, the scan finds none", at, j.Until.UTC())
	}
}
