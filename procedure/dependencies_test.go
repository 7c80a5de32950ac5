package procedure_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatDependsGoesBackFirst for any plan, as far as it was touched: every target once,
// whatever depends on another one before it, and where that says nothing the last touched one
// first (PD-7.1). The claim of another order does not count.
func TestWhatDependsGoesBackFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "targets")
		depth := map[string]uint32{}
		s := procedure.State{Request: &releasev1.Request{}}
		for i := range n {
			id := fmt.Sprintf("eu%d", i)
			// A depth is drawn, and not a graph: it is all that a release knows of one.
			depth[id] = rapid.Uint32Range(0, 3).Draw(t, "depth")
			s.Targets = append(s.Targets, &releasev1.ScopedTarget{Target: id, Depth: depth[id]})
			s.Touched = append(s.Touched, id)
		}
		s.Touched = rapid.Permutation(s.Touched).Draw(t, "order")[:rapid.IntRange(0, n).Draw(t, "touched")]
		before := slices.Clone(s.Touched)
		back := procedure.RollbackTargets(s)
		if !slices.Equal(s.Touched, before) {
			t.Fatalf("what was touched is another: %v, was %v", s.Touched, before)
		}
		if sorted := slices.Sorted(slices.Values(back)); !slices.Equal(sorted, slices.Sorted(slices.Values(s.Touched))) {
			t.Fatalf("back go %v, touched were %v", back, s.Touched)
		}
		for i := range back {
			for j := i + 1; j < len(back); j++ {
				a, b := back[i], back[j]
				touchedLater := slices.Index(s.Touched, a) > slices.Index(s.Touched, b)
				if depth[a] < depth[b] || depth[a] == depth[b] && !touchedLater {
					t.Errorf("%s, which lies %d deep, goes back before %s, which lies %d deep; touched %v", a, depth[a], b, depth[b], s.Touched)
				}
			}
		}
	})
}

// TestTheOrderOfTheWayBackIsClaimed across waves: the claim names it, and one that names the
// order of touching alone does not count.
func TestTheOrderOfTheWayBackIsClaimed(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"eu2"}, []string{"us1"})))
	h.To(t, procedure.PhaseScope)
	scope := proceduretest.Scope(h.State())
	// eu1, which is touched first, depends on eu2; us1 has nothing to do with either.
	scope.GetScopeValidated().GetTargets()[0].Depth = 1
	h.Do(t, "", scope)
	for h.State().Wave < 2 || h.State().Phase != procedure.PhaseVerify {
		person, e := h.Good()
		h.Do(t, person, e)
	}
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	e := proceduretest.Remedy(h.State(), "executor-1", h.Now)
	if got := e.GetRollbackClaimed().GetTargets(); !slices.Equal(got, []string{"eu1", "us1", "eu2"}) {
		t.Fatalf("%v", got)
	}
	e.GetRollbackClaimed().Targets = []string{"us1", "eu2", "eu1"}
	if err := h.Clone().Store(h.Next(nil, e)); err == nil {
		t.Error("a claim in the order of touching counts")
	}
	h.Do(t, "", proceduretest.Remedy(h.State(), "executor-1", h.Now))
	if s := h.State(); s.Phase != procedure.PhaseRollingBack {
		t.Errorf("in phase %s", s.Phase)
	}
}
