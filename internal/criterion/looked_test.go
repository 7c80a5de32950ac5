package criterion_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// checksOf are checks by these names, with where they are from.
func checksOf(from string, names ...string) (all []*releasev1.Check) {
	for _, name := range names {
		all = append(all, &releasev1.Check{Name: name, Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/" + from}}})
	}
	return all
}

// TestWhatTheCatalogueNamesIsNotReplaced: a request adds checks, and on the way back those of its
// rollback plan.
func TestWhatTheCatalogueNamesIsNotReplaced(t *testing.T) {
	for _, test := range []struct {
		catalogue, forth, back []string
		ahead, onTheWayBack    string
	}{
		{[]string{"a"}, []string{"a", "b"}, []string{"a", "c"}, "a/catalogue b/forth", "a/catalogue c/back"},
		{nil, []string{"b"}, []string{"c"}, "b/forth", "c/back"},
		{nil, []string{"b"}, nil, "b/forth", "b/forth"},
		{[]string{"a"}, []string{"b"}, nil, "a/catalogue b/forth", "a/catalogue"},
	} {
		r := &releasev1.Request{
			Validation:   &releasev1.Validation{Checks: checksOf("forth", test.forth...)},
			RollbackPlan: &releasev1.RollbackPlan{Checks: checksOf("back", test.back...)},
		}
		for back, want := range map[bool]string{false: test.ahead, true: test.onTheWayBack} {
			var got []string
			for _, c := range criterion.Looked(r, checksOf("catalogue", test.catalogue...), back) {
				got = append(got, c.GetName()+c.GetHttp().GetPath())
			}
			if strings.Join(got, " ") != want {
				t.Errorf("back %t: %v, want %s", back, got, want)
			}
		}
	}
}

// TestWhatThereIsNoRoomForIsKnownBefore anything is released: in the first wave that is too large,
// and on the way back, on which all targets are looked at at once.
func TestWhatThereIsNoRoomForIsKnownBefore(t *testing.T) {
	many := func(n int, kind releasev1.MetricBaseline_Kind) (all []*releasev1.Check) {
		for i := range n {
			c := compared(`sum(rate(x{t="{target}"}[30s]))`, func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
				b.Kind, b.Over = kind, durationpb.New(4*time.Hour)
			})
			c.Name = fmt.Sprintf("c%d", i)
			all = append(all, c)
		}
		return all
	}
	const before, unchanged = releasev1.MetricBaseline_KIND_BEFORE, releasev1.MetricBaseline_KIND_UNCHANGED
	for _, test := range []struct {
		name                   string
		catalogue, forth, back []*releasev1.Check
		waves                  []int
		want                   string
	}{
		{"a few", nil, many(3, before), nil, []int{1, 10}, ""},
		{"nothing compared", nil, checksOf("forth", "a", "b"), nil, []int{32, 32}, ""},
		{"more than there is room for", nil, many(10, before), nil, []int{1, 10, 1}, "in wave 2 the comparisons on 10 targets take 1."},
		{"of the catalogue", many(10, before), nil, nil, []int{1, 10, 1}, "in wave 2 the"},
		{"by the same names in both", many(5, before), many(5, before), nil, []int{1, 10, 1}, ""},
		{"on the way back alone", nil, many(5, before), many(5, before), []int{1, 10, 10}, "on the way back from wave 3 the comparisons on 21 targets"},
		{"beside those that are not changed", nil, many(9, unchanged), many(1, before), []int{1, 8, 10}, "in wave 2 the"},
		{"beside nobody else", nil, many(9, before), many(1, before), []int{1, 8, 10}, "in wave 3 the"},
	} {
		r := &releasev1.Request{
			Plan:         &releasev1.Plan{},
			Validation:   &releasev1.Validation{Checks: test.forth},
			RollbackPlan: &releasev1.RollbackPlan{Checks: test.back},
		}
		for i, n := range test.waves {
			w := &releasev1.Wave{}
			for j := range n {
				w.Targets = append(w.Targets, fmt.Sprintf("t%d-%d", i, j))
			}
			r.Plan.Waves = append(r.Plan.Waves, w)
		}
		if got := criterion.Crowded(r, test.catalogue, 15*time.Minute); (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
