package inflight

import (
	"fmt"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func at(phase procedure.Phase, claimed uint64, changes ...func(*procedure.State)) progress {
	s := procedure.State{Phase: phase, Request: &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_PLANNED}}
	for _, change := range changes {
		change(&s)
	}
	return progress{state: s, claimed: claimed}
}

func urgent(s *procedure.State) {
	s.Request = &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_EMERGENCY}
}
func recorded(s *procedure.State) { s.Recorded = true }
func begun(s *procedure.State)    { s.Begun = []string{"eu1"} }

// TestWhoGoesFirst is a table of what one release makes of another.
func TestWhoGoesFirst(t *testing.T) {
	const execute, executing, held, escalated = procedure.PhaseExecute, procedure.PhaseExecuting, procedure.PhaseHeld, procedure.PhaseEscalated
	for _, test := range []struct {
		name      string
		me, other progress
		waits     bool
	}{
		{"before its start, for what has begun", at(execute, 0), at(executing, 5), true},
		{"and for what waits itself", at(execute, 0), at(held, 5), true},
		{"and for what people have to decide about", at(execute, 0), at(escalated, 5), true},
		{"not for what is recorded", at(execute, 0), at(procedure.PhaseClosed, 5, recorded), false},
		{"not for what has claimed nothing", at(execute, 0), at(held, 0), false},
		{"before a wave, for what claimed first", at(execute, 7, begun), at(executing, 5), true},
		{"not for what claimed later", at(execute, 5, begun), at(executing, 7), false},
		{"but for an emergency", at(execute, 5, begun), at(executing, 7, urgent), true},
		{"not for one that waits itself", at(execute, 7, begun), at(held, 5, urgent), false},
		{"between claim and effect, for what claimed first", at(executing, 7), at(executing, 5), true},
		{"although it waits meanwhile", at(executing, 7), at(held, 5), true},
		{"not for what claimed later", at(executing, 5), at(executing, 7), false},
		{"not for an emergency that claimed later", at(executing, 5), at(executing, 7, urgent), false},
		{"not where it has begun", at(executing, 7, begun), at(executing, 5), false},
	} {
		if why := (Look{}).before(test.me, test.other); (why != "") != test.waits {
			t.Errorf("it waits %s: %q", test.name, why)
		}
	}
	now := time.Now()
	entered := func(ago time.Duration) func(*procedure.State) {
		return func(s *procedure.State) { s.Entered = now.Add(-ago) }
	}
	asked := func(p progress, place uint64) progress { p.requested = place; return p }
	for _, test := range []struct {
		name      string
		turn      time.Duration
		me, other progress
		waits     bool
	}{
		{"asked for first", time.Minute, asked(at(execute, 0), 2), asked(at(execute, 0, entered(0)), 1), true},
		{"asked for later", time.Minute, asked(at(execute, 0), 1), asked(at(execute, 0, entered(0)), 2), false},
		{"an emergency", time.Minute, asked(at(execute, 0), 1), asked(at(execute, 0, entered(0), urgent), 2), true},
		{"stuck", time.Minute, asked(at(execute, 0), 2), asked(at(execute, 0, entered(time.Minute)), 1), false},
		{"still waits", time.Minute, asked(at(execute, 0), 2), asked(at(held, 0, entered(0)), 1), false},
		{"nobody asks", 0, asked(at(execute, 0), 2), asked(at(execute, 0, entered(0)), 1), false},
	} {
		if why := (Look{Now: now, Turn: test.turn}).before(test.me, test.other); (why != "") != test.waits {
			t.Errorf("the other one %s: %q", test.name, why)
		}
	}
}

// TestNobodyWaitsInACircle tries every three releases that have begun, in every phase that
// they can be in between their waves, in every order of their claims, each an emergency or
// not. An emergency waits for none of them.
func TestNobodyWaitsInACircle(t *testing.T) {
	phases := []procedure.Phase{procedure.PhaseExecute, procedure.PhaseExecuting, procedure.PhaseHeld, procedure.PhaseVerify, procedure.PhaseEscalated}
	orders := [][3]uint64{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}}
	waited := 0
	for n := range len(phases) * len(phases) * len(phases) * len(orders) * 16 {
		var all [3]progress
		rest := n
		take := func(of int) int { v := rest % of; rest /= of; return v }
		order, some := orders[take(len(orders))], take(2) == 0
		for i := range all {
			changes := []func(*procedure.State){func(*procedure.State) {}}
			if take(2) == 0 {
				changes = append(changes, urgent)
			}
			if some {
				changes = append(changes, begun)
			}
			all[i] = at(phases[take(len(phases))], order[i], changes...)
		}
		// waits: it is between its waves and would find this, if it looked now.
		waits := func(i, j int) bool {
			return !all[i].state.Urgent() && (Look{}).before(all[i], all[j]) != ""
		}
		for i := range all {
			for j := range all {
				if i == j || !waits(i, j) {
					continue
				}
				waited++
				k := 3 - i - j
				if waits(j, i) || waits(j, k) && waits(k, i) {
					t.Fatalf("in a circle: %v", fmt.Sprint(all))
				}
			}
		}
	}
	if waited == 0 {
		t.Error("nobody ever waited")
	}
}
