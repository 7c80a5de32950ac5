package execute_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const neighboring = `environments: [{name: production}]
services:
  - {name: shop, dependencies: [billing]}
  - {name: billing}
targets:
  - {id: bill1, environment: production, services: [billing]}
`

// street is a world in which the shop depends on billing.
type street struct {
	*sitetest.World
	executor *sitetest.Executor
}

func newStreet(t *testing.T) *street {
	t.Helper()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("bill1"))
	w.Digest = w.Keep(t, strings.Replace(sitetest.Document(neighboring), "recheck: 1s", "recheck: 6s", 1))
	return &street{w, w.Executor(t, "one", nil)}
}

// open makes a release that may start, and is among the open ones of its service.
func (w *street) open(t *testing.T, key string, changes ...func(*releasev1.Request)) *sitetest.Release {
	t.Helper()
	r := w.Release(t, append(changes, proceduretest.Key(key))...)
	store := w.Store(procedure.ServiceApproval)
	service, err := standing.ReadService(t.Context(), store, "production", r.Asked.GetService())
	if err != nil {
		t.Fatal(err)
	}
	event := service.Changed(r.ID, append(service.Open, r.ID), nil)
	event.ProcedureDigest = w.Digest
	w.Append(t, procedure.ServiceApproval, service.Draft(event))
	r.To(t, procedure.PhaseExecute)
	return r
}

func billing(q *releasev1.Request) { q.Service, q.Plan.Waves[0].Targets = "billing", []string{"bill1"} }

func (w *street) turn(t *testing.T, r *sitetest.Release, late time.Duration) procedure.State {
	t.Helper()
	task := r.Task(t, 1)
	task.Now = task.Now.Add(late)
	if _, err := w.executor.Turn(t.Context(), execute.New(w.executor.Site, time.Now), task); err != nil {
		t.Fatal(err)
	}
	return r.State(t)
}

func heldBy(s procedure.State, rule string, by *sitetest.Release) bool {
	return s.Phase == procedure.PhaseHeld && len(s.Holds) == 1 && s.Holds[0].GetRule() == rule && s.Holds[0].GetSubject() == by.ID
}

// TestNeighborsAreLookedAtAgainAtTheStart: both were approved while neither had begun. Of two
// that may start just now the one that was asked for first does, unless it is stuck; the
// other one waits until that is recorded, whichever of them depends on the other (PD-3.3).
func TestNeighborsAreLookedAtAgainAtTheStart(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	shop := w.open(t, "shop")
	bills := w.open(t, "bills", billing)
	if s := w.turn(t, bills, 0); !heldBy(s, "dependent.busy", shop) || !strings.Contains(s.Holds[0].GetMessage(), "is about to start, and was asked for first") {
		t.Fatalf("billing in phase %s: %v", s.Phase, s.Holds)
	}
	if s := w.turn(t, shop, 0); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("the shop in phase %s: %v", s.Phase, s.Holds)
	}
	bills.Resume(t)
	if s := w.turn(t, bills, 0); !heldBy(s, "dependent.busy", shop) || !strings.HasSuffix(s.Holds[0].GetMessage(), "which depends on billing, is in flight") {
		t.Fatalf("billing in phase %s: %v", s.Phase, s.Holds)
	}
	w.turn(t, shop, 0)
	shop.To(t, procedure.PhaseRelease)
	shop.Do(t, "", proceduretest.Released(shop.State(t)))
	shop.Do(t, "", proceduretest.Recorded(shop.State(t)))
	bills.Resume(t)
	if s := w.turn(t, bills, 0); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("billing in phase %s: %v", s.Phase, s.Holds)
	}
	next := w.open(t, "next", proceduretest.Waves([]string{"eu2"}))
	if s := w.turn(t, next, 0); !heldBy(s, "dependency.busy", bills) {
		t.Fatalf("the next one in phase %s: %v", s.Phase, s.Holds)
	}
}

// TestWhatIsStuckBeforeItsStartKeepsNobodyWaiting for longer than the time of the recheck.
func TestWhatIsStuckBeforeItsStartKeepsNobodyWaiting(t *testing.T) {
	w := newStreet(t)
	w.open(t, "shop")
	bills := w.open(t, "bills", billing)
	if s := w.turn(t, bills, time.Minute); s.Phase != procedure.PhaseExecuting {
		t.Errorf("in phase %s: %v", s.Phase, s.Holds)
	}
}

// TestOfTwoNeighborsThatClaimAtOnceOneBegins: each had looked before the other one claimed.
func TestOfTwoNeighborsThatClaimAtOnceOneBegins(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	shop, bills := w.open(t, "shop"), w.open(t, "bills", billing)
	step := execute.New(w.executor.Site, time.Now)
	var claims [2]func() procedure.State
	for i, r := range []*sitetest.Release{bills, shop} {
		task := r.Task(t, 1)
		task.Now = task.Now.Add(7 * time.Second) // nobody goes first by the time of the request
		drafts, err := step.Act(t.Context(), task)
		if err != nil || drafts[0].Event.GetExecutionClaimed() == nil {
			t.Fatalf("%v, %v", drafts, err)
		}
		claims[i] = func() procedure.State {
			w.Append(t, procedure.ServiceExecutor, drafts...)
			return r.State(t)
		}
	}
	for _, claim := range claims {
		if s := claim(); s.Phase != procedure.PhaseExecuting {
			t.Fatalf("in phase %s", s.Phase)
		}
	}
	s := w.turn(t, shop, 0)
	if s.Phase != procedure.PhaseRemedy || len(s.Begun) > 0 || len(w.Effects(t, "eu1", shop.ID)) > 0 ||
		!strings.Contains(s.EndReason, "it was not begun: held by dependency.busy "+bills.ID) {
		t.Errorf("the second claim: in phase %s, begun %q, %s", s.Phase, s.Begun, s.EndReason)
	}
	if s := w.turn(t, bills, 0); s.Phase != procedure.PhaseVerify || len(w.Effects(t, "bill1", bills.ID)) != 1 {
		t.Errorf("the first claim: in phase %s, %s", s.Phase, s.EndReason)
	}
}

// TestTheNextWaveWaitsForAnEmergencyNextDoor and for none that waits itself; and where that
// takes longer than a person has to decide, people hear of it.
func TestTheNextWaveWaitsForAnEmergencyNextDoor(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	shop := w.open(t, "shop", proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	w.turn(t, shop, 0)
	w.turn(t, shop, 0)
	urgent := w.open(t, "urgent", billing, proceduretest.Emergency)
	if s := w.turn(t, urgent, 0); s.Phase != procedure.PhaseExecuting || !slices.Contains(s.Bypassed, inflight.Around(shop.ID)) {
		t.Fatalf("the emergency in phase %s: %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
	shop.Do(t, "", proceduretest.Verified(shop.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := w.turn(t, shop, 0); !heldBy(s, "dependency.busy", urgent) || s.Wave != 1 {
		t.Fatalf("the second wave in phase %s: %v", s.Phase, s.Holds)
	}
	state := shop.State(t)
	state.Phase, state.Holds = procedure.PhaseExecute, nil
	for late, want := range map[time.Duration]string{time.Minute: "start_held", state.Requested.GetTimeouts().GetDecision().AsDuration() + time.Minute: "execution_refused"} {
		task := shop.Task(t, 1)
		task.State, task.Now = state, state.HeldSince.Add(late)
		drafts, err := execute.New(w.executor.Site, time.Now).Act(t.Context(), task)
		if err != nil || procedure.TypeOf(drafts[0].Event) != want {
			t.Errorf("after %s: %v, %v", late, drafts, err)
		}
	}
	w.turn(t, urgent, 0)
	urgent.To(t, procedure.PhaseRelease)
	urgent.Do(t, "", proceduretest.Released(urgent.State(t)))
	urgent.Do(t, "", proceduretest.Recorded(urgent.State(t)))
	shop.Resume(t)
	if s := w.turn(t, shop, 0); s.Phase != procedure.PhaseExecuting {
		t.Errorf("the second wave in phase %s: %v", s.Phase, s.Holds)
	}
}

// TestAWayBackGoesPastANeighbor that began after step 3, and its claim says so.
func TestAWayBackGoesPastANeighbor(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	old := w.Earlier(t, "eu1", 1)
	gone := w.Earlier(t, "eu1", 2)
	back := w.open(t, "back", sitetest.Version(1), proceduretest.Rollback, func(q *releasev1.Request) { q.RollbackOf = gone.ID })
	forth := w.open(t, "forth", sitetest.Version(3), proceduretest.Rollback, proceduretest.Waves([]string{"eu2"}), func(q *releasev1.Request) { q.RollbackOf = old.ID })
	bills := w.open(t, "bills", billing)
	if s := w.turn(t, bills, time.Minute); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("billing in phase %s: %v", s.Phase, s.Holds)
	}
	s := w.turn(t, back, 0)
	if s.Phase != procedure.PhaseExecuting || len(s.Bypassed) > 0 {
		t.Fatalf("the way back in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
	called := back.Find(t, "execution_claimed").GetExecutionClaimed().GetFindings()
	if len(called) != 1 || called[0].GetRule() != "dependency.busy" || called[0].GetSubject() != bills.ID ||
		!slices.ContainsFunc(s.Findings, func(f *releasev1.Finding) bool { return f.GetSubject() == bills.ID }) {
		t.Errorf("its claim calls out %v", called)
	}
	if s := w.turn(t, forth, 0); !heldBy(s, "dependency.busy", bills) {
		t.Errorf("what only calls itself a way back is in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}

// TestANeighborThatClaimsWhileTheStartIsLookedAtHoldsIt: to look at everything may take
// minutes, and the claim is not made on what was so before them.
func TestANeighborThatClaimsWhileTheStartIsLookedAtHoldsIt(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	shop, bills := w.open(t, "shop"), w.open(t, "bills", billing)
	claimed := false
	w.executor = w.Executor(t, "one", func(point string) {
		if point == sitetest.Looking && !claimed {
			claimed = true
			bills.Do(t, "", proceduretest.Claim(bills.State(t), "executor-2", time.Now()))
		}
	})
	if s := w.turn(t, shop, 0); !claimed || !heldBy(s, "dependency.busy", bills) {
		t.Errorf("claimed %t, in phase %s: %v", claimed, s.Phase, s.Holds)
	}
}

// TestWhatIsOrderedAgainWaitsForWhatBeganSince: it claimed first, nothing of it was begun, and
// people had to decide. Until they did a neighbor that had looked before began. Ordering it
// again is its start, and its old claim lets it pass nothing (PD-3.3).
func TestWhatIsOrderedAgainWaitsForWhatBeganSince(t *testing.T) {
	w := newStreet(t)
	shop, bills := w.open(t, "shop", proceduretest.Irreversible), w.open(t, "bills", billing)
	shop.Do(t, "", proceduretest.Claim(shop.State(t), "executor-2", time.Now()))
	bills.Do(t, "", proceduretest.Claim(bills.State(t), "executor-2", time.Now()))
	shop.Do(t, "", proceduretest.Executed(shop.State(t), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED}))
	shop.Do(t, "", proceduretest.Remedy(shop.State(t), "executor-2", time.Now()))
	shop.Do(t, shop.Asked.GetOwner(), proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	if s := w.turn(t, shop, 0); !heldBy(s, "dependency.busy", bills) || !strings.HasSuffix(s.Holds[0].GetMessage(), ", is in flight") {
		t.Fatalf("between claim and effect of the other one in phase %s: %v", s.Phase, s.Holds)
	}
	bills.Do(t, "", proceduretest.Executed(bills.State(t), nil))
	shop.Resume(t)
	if s := w.turn(t, shop, 0); !heldBy(s, "dependency.busy", bills) {
		t.Fatalf("when the other one has begun in phase %s: %v", s.Phase, s.Holds)
	}
	bills.To(t, procedure.PhaseRelease)
	bills.Do(t, "", proceduretest.Released(bills.State(t)))
	bills.Do(t, "", proceduretest.Recorded(bills.State(t)))
	shop.Resume(t)
	if s := w.turn(t, shop, 0); s.Phase != procedure.PhaseExecuting {
		t.Errorf("when the other one is recorded in phase %s: %v", s.Phase, s.Holds)
	}
}
