package risk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

func freeze(name string, from, to time.Time, bypassable bool) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		d.Freezes = append(d.Freezes, &policyv1.Freeze{
			Name: name, SetBy: "gina", Reason: "nobody is there", Bypassable: bypassable,
			When: &policyv1.Freeze_Once{Once: &policyv1.Span{Start: timestamppb.New(from), End: timestamppb.New(to)}},
		})
	}
}

func newRig(t *testing.T, changes ...func(*policyv1.Procedure)) *approvaltest.Rig {
	t.Helper()
	return approvaltest.New(t, approvaltest.Document(changes...))
}

// judge lets step 3 look at the release at that time.
func judge(t *testing.T, r *approvaltest.Rig, release string, now time.Time) procedure.State {
	t.Helper()
	s, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func holds(s procedure.State) (rules []string) {
	for _, h := range s.Holds {
		rules = append(rules, h.GetRule())
	}
	return rules
}

func TestAFreezeHoldsUntilItsEndAndTheReleaseGoesOnByItself(t *testing.T) {
	now := time.Now()
	end := now.Add(300 * time.Millisecond)
	r := newRig(t, freeze("weekend", now.Add(-time.Hour), end, true))
	release := r.Reach(t, procedure.PhaseRisk)
	s := judge(t, r, release, now)
	if s.Phase != procedure.PhaseHeld || !s.HeldUntil.Equal(end) || len(s.Holds) != 1 {
		t.Fatalf("phase %s until %s: %v", s.Phase, s.HeldUntil, s.Holds)
	}
	h := s.Holds[0]
	if h.GetRule() != "freeze" || h.GetSubject() != "weekend" || h.GetSetBy() != "gina" || h.GetMessage() != "nobody is there" || !h.GetUntil().AsTime().Equal(end) {
		t.Errorf("reason %v", h)
	}
	if e := procedure.DecideDeadline(s, end.Add(-1)); e != nil {
		t.Errorf("a nanosecond before the end: %v", e)
	}
	// The server's clock decides; wait until it is there.
	waitUntil(t, end.Add(20*time.Millisecond))
	r.Do(t, release, "", procedure.DecideDeadline(s, end))
	if s = judge(t, r, release, end); s.Phase != procedure.PhaseApprove {
		t.Errorf("at its end: phase %s, %v", s.Phase, s.Holds)
	}
}

// The evening ends in the weekend: whoever asks why it starts on Monday hears of both,
// and of whoever set them.
func TestEveryFreezeBeforeTheEarliestStartIsNamed(t *testing.T) {
	now := time.Now()
	begins, end := now.Add(30*time.Minute), now.Add(72*time.Hour)
	r := newRig(t, freeze("evening", now.Add(-time.Hour), now.Add(time.Hour), false), freeze("weekend", begins, end, false))
	s := judge(t, r, r.Reach(t, procedure.PhaseRisk), now)
	if s.Phase != procedure.PhaseHeld || !s.HeldUntil.Equal(end) || len(s.Holds) != 2 {
		t.Fatalf("phase %s until %s: %v", s.Phase, s.HeldUntil, s.Holds)
	}
	next := s.Holds[1]
	if next.GetSubject() != "weekend" || next.GetSetBy() != "gina" || !next.GetUntil().AsTime().Equal(end) ||
		next.GetMessage() != "begins "+begins.UTC().Format(time.RFC3339)+", before a start is possible: nobody is there" {
		t.Errorf("reason %v", next)
	}
}

func waitUntil(t *testing.T, at time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestAnEmergencyGoesAroundFreezesThatSaySoAndListsThem(t *testing.T) {
	now := time.Now()
	r := newRig(t, freeze("weekend", now.Add(-time.Hour), now.Add(time.Hour), true))
	release := r.Reach(t, procedure.PhaseRisk, proceduretest.Emergency)
	s := judge(t, r, release, now)
	if s.Phase != procedure.PhaseApprove || len(s.Quorum) != 1 || s.Quorum[0].GetGroup() != "incident-commanders" {
		t.Fatalf("phase %s, quorum %v, holds %v", s.Phase, s.Quorum, s.Holds)
	}
	want := []string{"freeze weekend", "1 approval(s) by release-managers", "1 approval(s) by security"}
	if !slices.Equal(s.Bypassed, want) {
		t.Errorf("bypassed %q, want %q", s.Bypassed, want)
	}
}

func TestAFreezeThatIsForEverybodyHoldsAnEmergencyToo(t *testing.T) {
	now := time.Now()
	r := newRig(t, freeze("weekend", now.Add(-time.Hour), now.Add(time.Hour), true), freeze("legal", now.Add(-time.Hour), now.Add(2*time.Hour), false))
	s := judge(t, r, r.Reach(t, procedure.PhaseRisk, proceduretest.Emergency), now)
	if s.Phase != procedure.PhaseHeld || len(s.Holds) != 1 || s.Holds[0].GetSubject() != "legal" || !s.HeldUntil.Equal(now.Add(2*time.Hour)) {
		t.Errorf("phase %s until %s: %v", s.Phase, s.HeldUntil, s.Holds)
	}
}

func TestACustomersFreezeHoldsWhatTouchesTheCustomer(t *testing.T) {
	now := time.Now()
	r := newRig(t, freeze("audit", now.Add(-time.Hour), now.Add(time.Hour), false), func(d *policyv1.Procedure) {
		d.Freezes[0].Customers = []string{"acme"}
	})
	for target, want := range map[string]procedure.Phase{"us1": procedure.PhaseHeld, "us2": procedure.PhaseApprove} {
		s := judge(t, r, r.Reach(t, procedure.PhaseRisk, proceduretest.Key(target), proceduretest.Waves([]string{target})), now)
		if s.Phase != want {
			t.Errorf("%s: phase %s, want %s", target, s.Phase, want)
		}
	}
}

func TestABusyTargetHoldsAndIsLookedAtAgain(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("second"))
	first := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("first"))
	r.Lock(t, "eu1", first)
	s := judge(t, r, release, now)
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseScope || !slices.Equal(holds(s), []string{procedure.HoldTargetBusy}) ||
		s.Holds[0].GetSubject() != first || !s.HeldUntil.Equal(now.Add(time.Minute)) {
		t.Errorf("phase %s for %s until %s: %v", s.Phase, s.HeldFor, s.HeldUntil, s.Holds)
	}
}

// What has waited for long is looked at less often, so that its history has an end.
func TestTheLongerAReleaseWaitsTheLessOftenItIsLookedAt(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("second"))
	first := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("first"))
	r.Lock(t, "eu1", first)
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold("review.overdue", time.Now())}})
	r.Do(t, release, "", procedure.DecideDeadline(r.State(t, release), time.Now()))
	since := r.State(t, release).HeldSince
	s := judge(t, r, release, since.Add(10*time.Hour))
	if want := since.Add(11 * time.Hour); s.Phase != procedure.PhaseHeld || !s.HeldUntil.Equal(want) {
		t.Errorf("phase %s until %s, want %s", s.Phase, s.HeldUntil, want)
	}
}

// TestALockThatDoesNotCountHoldsNobodyUp has locks that were stored beside a claim that
// was refused, and whose executor died before it gave them back.
func TestALockThatDoesNotCountHoldsNobodyUp(t *testing.T) {
	for name, by := range map[string]func(t *testing.T, r *approvaltest.Rig) string{
		"of a release that claimed nothing": func(t *testing.T, r *approvaltest.Rig) string {
			return r.Reach(t, procedure.PhaseExecute, proceduretest.Key("first"))
		},
		"of a release that claimed something else": func(t *testing.T, r *approvaltest.Rig) string {
			return r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("first"), proceduretest.Waves([]string{"us1"}))
		},
		"of a release that is over": func(t *testing.T, r *approvaltest.Rig) string {
			return r.Reach(t, procedure.PhaseRecord, proceduretest.Key("first"))
		},
		"of a release that never was": func(*testing.T, *approvaltest.Rig) string { return "shop-first" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("second"))
			r.Lock(t, "eu1", by(t, r))
			if s := judge(t, r, release, time.Now()); s.Phase != procedure.PhaseApprove {
				t.Errorf("phase %s: %v", s.Phase, s.Holds)
			}
		})
	}
}

func TestATargetThatWasChangedIsLookedAtAgain(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("second"))
	r.Lock(t, "eu1", "shop-first")
	r.Unlock(t, "eu1", "shop-first")
	s := judge(t, r, release, time.Now())
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseScope || !slices.Equal(holds(s), []string{procedure.HoldTargetChanged}) {
		t.Errorf("phase %s for %s: %v", s.Phase, s.HeldFor, s.Holds)
	}
}

func TestAnOverdueReviewBlocksPlannedReleasesAndNoEmergency(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	owe(t, r, now)
	planned := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("planned"))
	if s := judge(t, r, planned, now.Add(-time.Second)); s.Phase != procedure.PhaseApprove {
		t.Errorf("before the grace is over: phase %s, %v", s.Phase, s.Holds)
	}
	late := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("late"))
	s := judge(t, r, late, now)
	if s.Phase != procedure.PhaseHeld || !slices.Equal(holds(s), []string{"review.overdue"}) || s.Holds[0].GetSubject() != "shop-urgent" {
		t.Errorf("planned: phase %s, %v", s.Phase, s.Holds)
	}
	urgent := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("urgent"), proceduretest.Emergency)
	if s := judge(t, r, urgent, now); s.Phase != procedure.PhaseApprove || !found(s, "review.overdue") {
		t.Errorf("emergency: phase %s, %v, findings %v", s.Phase, s.Holds, s.Findings)
	}
}

// TestAnOverdueReviewLetsAWayBackPass and blocks what only calls itself one.
func TestAnOverdueReviewLetsAWayBackPass(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	owe(t, r, now)
	gone := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("gone"))
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "eu1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	for _, test := range []struct {
		name  string
		digit byte
		want  procedure.Phase
	}{{"back", 'b', procedure.PhaseApprove}, {"forth", '9', procedure.PhaseHeld}} {
		release := r.Reach(t, procedure.PhaseScope, proceduretest.Key(test.name), proceduretest.Rollback, func(q *releasev1.Request) {
			q.RollbackOf, q.Version, q.Artifacts[0].Digest = gone, "1.4.1", proceduretest.Digest(test.digit)
		})
		scope := approvaltest.Scope(r.State(t, release))
		scope.GetScopeValidated().GetTargets()[0].State = &releasev1.TargetState{Generation: 2}
		r.Do(t, release, "", scope)
		r.To(t, release, procedure.PhaseRisk)
		if s := judge(t, r, release, now); s.Phase != test.want {
			t.Errorf("%s: phase %s, %v, %s", test.name, s.Phase, s.Holds, s.EndReason)
		}
	}
}

// owe makes the shop owe a review whose grace ends at that time.
func owe(t *testing.T, r *approvaltest.Rig, at time.Time) {
	t.Helper()
	service, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Store.Append(t.Context(), service.Draft(service.Changed("shop-urgent", service.Open, []*releasev1.ReviewDebt{{
		Release: "shop-urgent", Due: timestamppb.New(at.Add(-24 * time.Hour)), BlocksFrom: timestamppb.New(at),
	}}))); err != nil {
		t.Fatal(err)
	}
}

func found(s procedure.State, rule string) bool {
	return slices.ContainsFunc(s.Findings, func(f *releasev1.Finding) bool { return f.GetRule() == rule })
}

func TestADependencyInFlightHolds(t *testing.T) {
	r := newRig(t)
	billing := func(q *releasev1.Request) { q.Service, q.Plan.Waves[0].Targets = "billing", []string{"bill1"} }
	waits := r.Reach(t, procedure.PhaseApprove, proceduretest.Key("waits"), billing)
	shop := r.Reach(t, procedure.PhaseRisk)
	if s := judge(t, r, shop, time.Now()); s.Phase != procedure.PhaseApprove {
		t.Fatalf("a dependency that has not started: phase %s, %v", s.Phase, s.Holds)
	}
	r.To(t, waits, procedure.PhaseExecuting)
	next := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("next"))
	s := judge(t, r, next, time.Now())
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseRisk || !slices.Equal(holds(s), []string{"dependency.busy"}) || s.Holds[0].GetSubject() != waits {
		t.Errorf("phase %s for %s: %v", s.Phase, s.HeldFor, s.Holds)
	}
}

func TestNoWayBackNeedsARecoveryPlanAndMorePeople(t *testing.T) {
	r := newRig(t)
	recovery := func(q *releasev1.Request) { q.RollbackPlan.Recovery = "Restore last night's backup." }
	noPlan := func(q *releasev1.Request) { q.RollbackPlan.Strategy = releasev1.RollbackPlan_STRATEGY_NONE }
	for _, c := range []struct {
		name     string
		changes  []func(*releasev1.Request)
		phase    procedure.Phase
		managers uint32
		bypassed string
	}{
		{"with a way back", nil, procedure.PhaseApprove, 1, ""},
		{"without one and without a plan", []func(*releasev1.Request){proceduretest.Irreversible}, procedure.PhaseRecord, 0, ""},
		{"without one and with a plan", []func(*releasev1.Request){proceduretest.Irreversible, recovery}, procedure.PhaseApprove, 2, ""},
		{"that is the way back", []func(*releasev1.Request){proceduretest.Rollback}, procedure.PhaseApprove, 1, ""},
		{"that is the way back and has no plan of its own", []func(*releasev1.Request){proceduretest.Rollback, noPlan}, procedure.PhaseApprove, 1, ""},
		{"that is the way back and changes data for good", []func(*releasev1.Request){proceduretest.Rollback, proceduretest.Irreversible}, procedure.PhaseRecord, 0, ""},
		{"in an emergency", []func(*releasev1.Request){proceduretest.Irreversible, proceduretest.Emergency}, procedure.PhaseApprove, 0, "rollback readiness: data is changed for good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := proceduretest.Key(strings.ReplaceAll(c.name, " ", "-"))
			s := judge(t, r, r.Reach(t, procedure.PhaseRisk, append(c.changes, key)...), time.Now())
			if s.Phase != c.phase {
				t.Fatalf("phase %s (%s), want %s", s.Phase, s.EndReason, c.phase)
			}
			var managers uint32
			for _, q := range s.Quorum {
				if q.GetGroup() == "release-managers" {
					managers = q.GetCount()
				}
			}
			if managers != c.managers || (c.bypassed != "" && !slices.Contains(s.Bypassed, c.bypassed)) {
				t.Errorf("%d managers, want %d; bypassed %q", managers, c.managers, s.Bypassed)
			}
		})
	}
}

// TestARollbackWhoseTargetCouldNotBeLeftAgain has a driver that says so.
func TestARollbackWhoseTargetCouldNotBeLeftAgain(t *testing.T) {
	r := newRig(t)
	for name, recovery := range map[string]string{"without-a-plan": "", "with-a-plan": "Take it out of service."} {
		release := r.Reach(t, procedure.PhasePreview, proceduretest.Rollback, proceduretest.Key(name), func(q *releasev1.Request) { q.RollbackPlan.Recovery = recovery })
		r.Do(t, release, "", proceduretest.Preview(r.State(t, release), releasev1.DriverClass_DRIVER_CLASS_FENCED, []string{"eu1"}, nil))
		s := judge(t, r, release, time.Now())
		want := map[string]procedure.Phase{"without-a-plan": procedure.PhaseRecord, "with-a-plan": procedure.PhaseApprove}[name]
		if s.Phase != want || !found(s, "rollback.unavailable") {
			t.Errorf("%s: phase %s, findings %v", name, s.Phase, s.Findings)
		}
	}
}

func TestAHighRiskAreaNeedsMorePeople(t *testing.T) {
	r := newRig(t)
	s := judge(t, r, r.Reach(t, procedure.PhaseRisk, func(q *releasev1.Request) { q.Risk.Areas = []string{"authentication", "colors"} }), time.Now())
	for _, q := range s.Quorum {
		if q.GetGroup() == "security" && q.GetCount() == 2 && found(s, "risk.high") {
			return
		}
	}
	t.Errorf("quorum %v, findings %v", s.Quorum, s.Findings)
}
