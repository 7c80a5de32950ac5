package freeze_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func subjectsOf(reasons []*releasev1.HoldReason) (names []string) {
	for _, r := range reasons {
		names = append(names, r.GetSubject())
	}
	return names
}

func allowing(f *policyv1.Freeze) *policyv1.Freeze {
	f.Kind = policyv1.Freeze_KIND_ALLOW
	return f
}

// TestAWindowIsOpenForThoseItAppliesTo has a release to targets of two customers, each of
// which allows other times.
func TestAWindowIsOpenForThoseItAppliesTo(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	acme := allowing(once("acme", at, at.Add(4*time.Hour)))
	acme.Customers = []string{"acme"}
	globex := allowing(once("globex", at.Add(2*time.Hour), at.Add(6*time.Hour)))
	globex.Customers = []string{"globex"}
	outage := once("outage", at.Add(2*time.Hour), at.Add(3*time.Hour))
	both := freeze.Scope{Targets: []string{"eu1", "us1"}, Customers: []string{"acme", "globex"}, Serves: map[string][]string{"eu1": {"acme"}, "us1": {"globex"}}}
	one := freeze.Scope{Targets: []string{"eu1"}, Customers: []string{"acme"}, Serves: map[string][]string{"eu1": {"acme"}}}
	for _, test := range []struct {
		name               string
		freezes            []*policyv1.Freeze
		scope              freeze.Scope
		reasons, following []string
		until              time.Duration
	}{
		{"of one customer", []*policyv1.Freeze{acme, globex}, one, nil, nil, 0},
		{"of both", []*policyv1.Freeze{acme, globex}, both, []string{"globex"}, nil, 2 * time.Hour},
		{"denied while both allow it", []*policyv1.Freeze{acme, globex, outage}, both, []string{"globex"}, []string{"outage"}, 3 * time.Hour},
		{"of nobody", []*policyv1.Freeze{acme, globex}, freeze.Scope{Targets: []string{"eu3"}}, nil, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := freeze.Evaluate(test.freezes, at, test.scope)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.reasons, subjectsOf(v.Reasons)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.following, subjectsOf(v.Following)); diff != "" {
				t.Errorf("following (-want +got):\n%s", diff)
			}
			if !v.Until.Equal(at.Add(test.until)) {
				t.Errorf("until %s", v.Until)
			}
		})
	}
}

// TestWhatAReleaseGoesAround lets exceptions take away one freeze each, and no other.
func TestWhatAReleaseGoesAround(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	audit := once("audit", at.Add(-time.Hour), at.Add(time.Hour))
	campaign := once("campaign", at.Add(-time.Hour), at.Add(2*time.Hour))
	campaign.Bypassable = true
	campaign.Overrun = policyv1.Freeze_OVERRUN_FINISH
	office := allowing(once("office", at.Add(3*time.Hour), at.Add(9*time.Hour)))
	night := allowing(once("night", at.Add(12*time.Hour), at.Add(14*time.Hour)))
	night.Overrun = policyv1.Freeze_OVERRUN_ROLL_BACK
	freezes := []*policyv1.Freeze{audit, campaign, office, night}
	overridden := func(names ...string) func(*policyv1.Freeze) bool {
		return func(f *policyv1.Freeze) bool {
			for _, n := range names {
				if f.GetName() == n {
					return true
				}
			}
			return false
		}
	}
	for _, test := range []struct {
		name                                                 string
		x                                                    freeze.Exceptions
		reasons, bypassed, overridden, finishing, rolledBack []string
		until                                                time.Duration
	}{
		{"nothing", freeze.Exceptions{}, []string{"audit", "campaign", "office", "night"}, nil, nil, nil, nil, 3 * time.Hour},
		{"an emergency", freeze.Exceptions{Emergency: true}, []string{"audit", "office", "night"}, []string{"campaign"}, nil, nil, nil, 3 * time.Hour},
		{"one override while two apply", freeze.Exceptions{Overridden: overridden("campaign", "office")}, []string{"audit"}, nil, []string{"campaign", "office"}, nil, nil, time.Hour},
		{"each its own", freeze.Exceptions{Overridden: overridden("audit", "campaign", "office")}, nil, nil, []string{"audit", "campaign", "office"}, nil, nil, 0},
		{"under way", freeze.Exceptions{UnderWay: true}, []string{"audit", "office", "night"}, nil, nil, []string{"campaign"}, []string{"night"}, 3 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, err := freeze.Judge(freezes, at, freeze.Scope{}, test.x)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []struct {
				what    string
				want    []string
				reasons []*releasev1.HoldReason
			}{
				{"reasons", test.reasons, j.Reasons},
				{"bypassed", test.bypassed, j.Bypassed},
				{"overridden", test.overridden, j.Overridden},
				{"finishing", test.finishing, j.Finishing},
				{"rolled back", test.rolledBack, j.RollBack},
			} {
				if diff := cmp.Diff(got.want, subjectsOf(got.reasons)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", got.what, diff)
				}
			}
			if !j.Until.Equal(at.Add(test.until)) {
				t.Errorf("until %s", j.Until)
			}
		})
	}
}

// TestWhenAFreezeTakesBackWhatHasBegun: by the first window that denies, or the end of one that allows;
// not by one that holds already, is over, goes another way about it, or that the release goes around.
func TestWhenAFreezeTakesBackWhatHasBegun(t *testing.T) {
	t.Parallel()
	at := moment(t, "2026-12-01T10:00:00Z")
	back := func(f *policyv1.Freeze) *policyv1.Freeze {
		f.Overrun = policyv1.Freeze_OVERRUN_ROLL_BACK
		return f
	}
	late, soon := back(once("late", at.Add(5*time.Hour), at.Add(6*time.Hour))), back(once("soon", at.Add(2*time.Hour), at.Add(3*time.Hour)))
	soon.Bypassable = true
	elsewhere := back(once("elsewhere", at.Add(time.Hour), at.Add(2*time.Hour)))
	elsewhere.Services = []string{"search"}
	of := func(names ...string) func(*policyv1.Freeze) bool {
		return func(f *policyv1.Freeze) bool { return len(names) > 0 && f.GetName() == names[0] }
	}
	for _, test := range []struct {
		name    string
		freezes []*policyv1.Freeze
		x       freeze.Exceptions
		want    time.Duration
	}{
		{"nothing", nil, freeze.Exceptions{}, 0},
		{"the first of two", []*policyv1.Freeze{late, soon}, freeze.Exceptions{}, 2 * time.Hour},
		{"one that an emergency goes around", []*policyv1.Freeze{late, soon}, freeze.Exceptions{Emergency: true}, 5 * time.Hour},
		{"one of which an exception was made", []*policyv1.Freeze{late, soon}, freeze.Exceptions{Overridden: of("late")}, 2 * time.Hour},
		{"one that holds, or is over", []*policyv1.Freeze{back(once("now", at, at.Add(time.Hour))), back(once("over", at.Add(-2*time.Hour), at))}, freeze.Exceptions{}, 0},
		{"one that lets it wait", []*policyv1.Freeze{once("stop", at.Add(time.Hour), at.Add(2*time.Hour))}, freeze.Exceptions{}, 0},
		{"one of another service", []*policyv1.Freeze{elsewhere}, freeze.Exceptions{}, 0},
		{"the end of one that allows", []*policyv1.Freeze{back(allowing(once("day", at.Add(-time.Hour), at.Add(4*time.Hour))))}, freeze.Exceptions{}, 4 * time.Hour},
		{"the end of the last one that allows", []*policyv1.Freeze{
			back(allowing(once("day", at.Add(-2*time.Hour), at.Add(-time.Hour)))), allowing(once("evening", at, at.Add(4*time.Hour))),
		}, freeze.Exceptions{}, 4 * time.Hour},
		{"the end of one that allows, and lets it wait", []*policyv1.Freeze{allowing(once("day", at.Add(-time.Hour), at.Add(4*time.Hour)))}, freeze.Exceptions{}, 0},
		{"one beyond the horizon", []*policyv1.Freeze{back(once("far", at.Add(freeze.Horizon), at.Add(2*freeze.Horizon)))}, freeze.Exceptions{}, 0},
	} {
		got, err := freeze.TakesBack(test.freezes, at, freeze.Scope{Service: "shop"}, test.x)
		want := at.Add(test.want)
		if test.want == 0 {
			want = time.Time{}
		}
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v, want %s", test.name, got, err, want)
		}
	}
	if _, err := freeze.TakesBack([]*policyv1.Freeze{back(&policyv1.Freeze{Name: "never"})}, at, freeze.Scope{}, freeze.Exceptions{}); err == nil {
		t.Error("a freeze that says no time")
	}
}
