package inflight

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func at(phase procedure.Phase, claimed uint64, changes ...func(*procedure.State)) progress {
	s := procedure.State{Phase: phase, Request: &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_PLANNED}}
	for _, change := range changes {
		change(&s)
	}
	return progress{state: s, claimed: claimed, urgent: s.Emergency()}
}

func emergency(s *procedure.State) {
	s.Request = &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_EMERGENCY}
}

// forth only calls itself a rollback.
func forth(s *procedure.State) {
	s.Request = &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_ROLLBACK}
}
func begun(s *procedure.State) { s.Begun = []string{"eu1"} }

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
		{"for what is about to let its targets go", at(execute, 0), at(procedure.PhaseRelease, 5, begun), true},
		{"not for what only waits for its record", at(execute, 0), at(procedure.PhaseRecord, 5, begun), false},
		{"not for what is over", at(execute, 0), at(procedure.PhaseClosed, 5, begun), false},
		{"not for what has claimed nothing", at(execute, 0), at(held, 0), false},
		{"before a wave, for what claimed first", at(execute, 7, begun), at(executing, 5), true},
		{"not for what claimed later", at(execute, 5, begun), at(executing, 7), false},
		{"but for an emergency", at(execute, 5, begun), at(executing, 7, emergency), true},
		{"not for what only calls itself a rollback", at(execute, 5, begun), at(executing, 7, forth), false},
		{"not for one that waits itself", at(execute, 7, begun), at(held, 5, emergency, begun), false},
		{"not for one that was not begun", at(execute, 7, begun), at(execute, 5), false},
		{"nor for one about which people decide", at(execute, 7, begun), at(escalated, 5), false},
		{"but for one that goes back, for what that changes", at(execute, 7, begun), at(procedure.PhaseRollingBack, 5), true},
		{"between claim and effect, for what claimed first", at(executing, 7), at(executing, 5), true},
		{"although it waits meanwhile", at(executing, 7), at(held, 5, begun), true},
		{"not for what claimed first and was not begun", at(executing, 7), at(held, 5), false},
		{"not for what claimed later", at(executing, 5), at(executing, 7), false},
		{"not for an emergency that claimed later", at(executing, 5), at(executing, 7, emergency), false},
		{"not where it has begun", at(executing, 7, begun), at(executing, 5), false},
		{"ordered again before anything began, for what began since", at(execute, 5), at(procedure.PhaseVerify, 7, begun), true},
		{"also where that waits", at(execute, 5), at(held, 7, begun), true},
		{"and for what is between claim and effect", at(execute, 5), at(executing, 7), true},
		{"not for what was not begun either", at(execute, 5), at(held, 7), false},
	} {
		if why, turn := (Look{}).before(test.me, test.other); (why != "") != test.waits || turn {
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
		{"an emergency", time.Minute, asked(at(execute, 0), 1), asked(at(execute, 0, entered(0), emergency), 2), true},
		{"only calls itself a rollback", time.Minute, asked(at(execute, 0), 1), asked(at(execute, 0, entered(0), forth), 2), false},
		{"stuck", time.Minute, asked(at(execute, 0), 2), asked(at(execute, 0, entered(time.Minute)), 1), false},
		{"still waits", time.Minute, asked(at(execute, 0), 2), asked(at(held, 0, entered(0)), 1), false},
		{"nobody asks", 0, asked(at(execute, 0), 2), asked(at(execute, 0, entered(0)), 1), false},
		{"is ordered again and claimed first", time.Minute, at(execute, 7), at(execute, 5, entered(0)), true},
		{"is ordered again and claimed later", time.Minute, at(execute, 5), at(execute, 7, entered(0)), false},
		{"is ordered again and an emergency", time.Minute, at(execute, 5), at(execute, 7, entered(0), emergency), true},
		{"is ordered again and stuck", time.Minute, at(execute, 7), at(execute, 5, entered(time.Minute)), false},
		{"is ordered again and waits", time.Minute, at(execute, 7), at(held, 5, entered(0)), false},
		{"was never claimed, and this one is ordered again", time.Minute, asked(at(execute, 7), 2), asked(at(execute, 0, entered(0)), 1), false},
	} {
		if why, turn := (Look{Now: now, Turn: test.turn}).before(test.me, test.other); (why != "") != test.waits || turn != test.waits {
			t.Errorf("the other one %s: %q", test.name, why)
		}
	}
}

// TestNobodyWaitsInACircle tries every three releases: with no claim, with one and nothing
// begun, and with something begun, in every phase in which they may wait or keep another one
// waiting, in every order of their claims, with and without turns; each planned, one that
// waits for none, or one that only calls itself a rollback.
func TestNobodyWaitsInACircle(t *testing.T) {
	const execute, held = procedure.PhaseExecute, procedure.PhaseHeld
	now := time.Now()
	phases := []procedure.Phase{execute, held, procedure.PhaseExecuting, procedure.PhaseVerify, procedure.PhaseRollingBack, procedure.PhaseEscalated}
	var kinds []progress
	for _, kind := range []func(*procedure.State){func(*procedure.State) {}, emergency, forth} {
		fresh := func(s *procedure.State) { s.Entered = now }
		for _, phase := range phases[:2] {
			kinds = append(kinds, at(phase, 0, kind, fresh))
		}
		for _, phase := range phases {
			kinds = append(kinds, at(phase, 1, kind, fresh), at(phase, 1, kind, fresh, begun))
		}
	}
	orders := [][3]uint64{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}}
	waited := 0
	for n := range len(kinds) * len(kinds) * len(kinds) * len(orders) * 2 {
		var all [3]progress
		rest := n
		take := func(of int) int { v := rest % of; rest /= of; return v }
		order, look := orders[take(len(orders))], Look{Now: now, Turn: time.Duration(take(2)) * time.Minute}
		for i := range all {
			all[i] = kinds[take(len(kinds))]
			all[i].claimed *= order[i]
			all[i].requested = order[(i+1)%3]
		}
		// waits: it would find this if it looked now, and what goes back looks at nobody.
		waits := func(i, j int) bool {
			if all[i].urgent || all[i].state.Phase == procedure.PhaseRollingBack {
				return false
			}
			why, _ := look.before(all[i], all[j])
			return why != ""
		}
		for i := range all {
			j, k := (i+1)%3, (i+2)%3
			if !waits(i, j) {
				continue
			}
			waited++
			if waits(j, i) || waits(j, k) && waits(k, i) {
				var names []string
				for _, p := range all {
					names = append(names, fmt.Sprintf("%s, %s, claimed %d, asked %d, begun %q", p.state.Request.GetTrigger(), p.state.Phase, p.claimed, p.requested, p.state.Begun))
				}
				t.Fatalf("in a circle, with turns of %s:\n%s", look.Turn, strings.Join(names, "\n"))
			}
		}
	}
	if waited == 0 {
		t.Error("nobody ever waited")
	}
}

// TestWhichClaimCounts: while nothing has begun, the newest that somebody ordered, for a start
// comes after all that was claimed before it; who takes a claim over keeps its place, and what
// has begun keeps that of its beginning.
func TestWhichClaimCounts(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Irreversible, proceduretest.Waves([]string{"eu1"}, []string{"eu2"})))
	want := func(when string, place uint64) {
		t.Helper()
		if got := claimed(h.Release, h.Entries); got != place {
			t.Errorf("%s: place %d, want %d", when, got, place)
		}
	}
	skipped := map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED}
	h.To(t, procedure.PhaseExecute)
	want("before", 0)
	h.To(t, procedure.PhaseExecuting)
	first := h.Last
	want("claimed", first)
	h.Do(t, "", proceduretest.Claim(h.State(), "executor-2", h.Now))
	want("taken over", first)
	if err := h.Append("", proceduretest.Claim(procedure.State{}, "executor-3", h.Now)); err == nil {
		t.Fatal("a claim of nothing counts")
	}
	want("claimed in vain", first)
	h.Do(t, "", proceduretest.Executed(h.State(), skipped))
	h.To(t, procedure.PhaseEscalated)
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	want("ordered again", first)
	h.To(t, procedure.PhaseExecuting)
	again := h.Last
	if again == first {
		t.Fatal("it was not claimed again")
	}
	want("claimed again", again)
	h.Do(t, "", proceduretest.Executed(h.State(), nil))
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
	h.To(t, procedure.PhaseExecuting)
	if s := h.State(); s.Wave != 1 || h.Last == again {
		t.Fatalf("in wave %d", s.Wave)
	}
	want("with its second wave", again)
}
