package risk_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

func billing(q *releasev1.Request) { q.Service, q.Plan.Waves[0].Targets = "billing", []string{"bill1"} }

// TestADependentInFlightHolds: the shop depends on billing, and is being changed.
func TestADependentInFlightHolds(t *testing.T) {
	r := newRig(t)
	shop := r.Reach(t, procedure.PhaseExecuting)
	s := judge(t, r, r.Reach(t, procedure.PhaseRisk, proceduretest.Key("needed"), billing), time.Now())
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseRisk || !slices.Equal(holds(s), []string{"dependent.busy"}) ||
		s.Holds[0].GetSubject() != shop || s.Holds[0].GetMessage() != "release "+shop+" of shop, which depends on billing, is in flight" {
		t.Errorf("phase %s for %s: %v", s.Phase, s.HeldFor, s.Holds)
	}
}

// TestWhatIsInFlightStopsNoEmergencyAndNoWayBack has billing stuck until a person decides.
// An emergency and a way back do not wait for that, and both have it on record; what only
// calls itself a way back waits.
func TestWhatIsInFlightStopsNoEmergencyAndNoWayBack(t *testing.T) {
	r := newRig(t)
	gone := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("gone"), proceduretest.Waves([]string{"us1"}))
	r.Carries(t, "us1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "us1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	stuck := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("stuck"), billing)
	r.Do(t, stuck, "", proceduretest.Executed(r.State(t, stuck), map[string]releasev1.TargetResult_Status{"bill1": releasev1.TargetResult_STATUS_UNKNOWN}))
	if p := r.State(t, stuck).Phase; p != procedure.PhaseEscalated {
		t.Fatalf("billing is in phase %s", p)
	}
	back := func(digit byte) func(*releasev1.Request) {
		return func(q *releasev1.Request) {
			proceduretest.Rollback(q)
			proceduretest.Waves([]string{"us1"})(q)
			q.RollbackOf, q.Version, q.Artifacts[0].Digest = gone, "1.4.1", proceduretest.Digest(digit)
		}
	}
	for _, test := range []struct {
		name     string
		change   func(*releasev1.Request)
		phase    procedure.Phase
		bypassed bool
	}{
		{"planned", func(*releasev1.Request) {}, procedure.PhaseHeld, false},
		{"emergency", proceduretest.Emergency, procedure.PhaseApprove, true},
		{"back", back('b'), procedure.PhaseApprove, false},
		{"forth", back('9'), procedure.PhaseHeld, false},
	} {
		release := r.Reach(t, procedure.PhaseScope, proceduretest.Key(test.name), test.change)
		scope := approvaltest.Scope(r.State(t, release))
		if scope.GetScopeValidated().GetTargets()[0].GetTarget() == "us1" {
			scope.GetScopeValidated().GetTargets()[0].State = &releasev1.TargetState{Generation: 2}
		}
		r.Do(t, release, "", scope)
		before := r.To(t, release, procedure.PhaseRisk)
		now := time.Now()
		s := judge(t, r, release, now)
		if s.Phase != test.phase || slices.Contains(s.Bypassed, inflight.Around(stuck)) != test.bypassed ||
			(test.phase == procedure.PhaseApprove) != found(s, inflight.RuleDependency) {
			t.Errorf("%s: phase %s, held by %v, bypassed %q, findings %v", test.name, s.Phase, s.Holds, s.Bypassed, s.Findings)
		}
		// A replay comes to the same from what the event says that was seen.
		entries := r.Task(t, release, now).History.Entries
		recorded := entries[len(entries)-1].Event
		again, err := risk.Judge(r.Index(t), before, risk.SeenIn(recorded), now)
		if err != nil || !proto.Equal(again.GetRiskCleared(), recorded.GetRiskCleared()) || !proto.Equal(again.GetHeld(), recorded.GetHeld()) {
			t.Errorf("%s: judged again it is\n%v, was\n%v, %v", test.name, again, recorded, err)
		}
	}
}
