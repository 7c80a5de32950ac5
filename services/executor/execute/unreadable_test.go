package execute_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// fill makes the history of a release too long to be carried on.
func (w *street) fill(t *testing.T, r *sitetest.Release) {
	t.Helper()
	for range eventstore.MaxHistory {
		if _, err := w.JetStream().PublishAsync(procedure.Aggregate(r.ID)+".approval.approval_given", []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	<-w.JetStream().PublishAsyncComplete()
}

// TestWhatSomebodyFillsIsTakenBackAllTheSame, past a neighbor in flight: the way back needs of
// that release what it was, and not what comes next (PD-2.3).
func TestWhatSomebodyFillsIsTakenBackAllTheSame(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	w.Earlier(t, "eu1", 1)
	gone := w.Earlier(t, "eu1", 2)
	back := w.open(t, "back", sitetest.Version(1), proceduretest.Rollback, func(q *releasev1.Request) { q.RollbackOf = gone.ID })
	bills := w.open(t, "bills", billing)
	bills.Do(t, "", proceduretest.Claim(bills.State(t), "executor-2", time.Now()))
	w.fill(t, gone)
	if s := w.turn(t, back, 0); s.Phase != procedure.PhaseExecuting {
		t.Errorf("the way back in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}

// TestAHistoryThatSomebodyFillsKeepsNoEmergencyWaiting, nor does a name on the list that no
// release has: what was in flight next door still is, for a planned release and for the record
// of an emergency, and neither look fails (PD-3.3).
func TestAHistoryThatSomebodyFillsKeepsNoEmergencyWaiting(t *testing.T) {
	t.Parallel()
	w := newStreet(t)
	w.Digest = w.Keep(t, sitetest.Document(neighboring+"incidents: {}\n"))
	bills := w.open(t, "bills", billing)
	w.turn(t, bills, 0)
	store := w.Store(procedure.ServiceApproval)
	service, err := standing.ReadService(t.Context(), store, "production", "billing")
	if err != nil {
		t.Fatal(err)
	}
	event := service.Changed(bills.ID, append([]string{"no release.has > such a name"}, service.Open...), nil)
	event.ProcedureDigest = w.Digest
	w.Append(t, procedure.ServiceApproval, service.Draft(event))
	w.fill(t, bills)
	planned, urgent := w.open(t, "planned"), w.open(t, "urgent", proceduretest.Emergency, proceduretest.Waves([]string{"eu2"}))
	if s := w.turn(t, planned, 0); !heldBy(s, "dependency.busy", bills) {
		t.Errorf("a planned release in phase %s: %v", s.Phase, s.Holds)
	}
	if s := w.turn(t, urgent, 0); s.Phase != procedure.PhaseExecuting || !slices.Contains(s.Bypassed, inflight.Around(bills.ID)) {
		t.Errorf("an emergency in phase %s: %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
}

// TestAnEmergencyGoesPastNothingThatHasNotBegun: another emergency next door may start just
// now as well and was asked for first. Nothing is in flight, and the record says so of none.
func TestAnEmergencyGoesPastNothingThatHasNotBegun(t *testing.T) {
	w := newStreet(t)
	w.open(t, "bills", billing, proceduretest.Emergency)
	urgent := w.open(t, "urgent", proceduretest.Emergency)
	s := w.turn(t, urgent, 0)
	if s.Phase != procedure.PhaseExecuting || slices.ContainsFunc(s.Bypassed, func(b string) bool { return strings.HasSuffix(b, "in flight") }) {
		t.Errorf("in phase %s: %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
}

// TestWhoHoldsATargetHoldsItThoughSomebodyFillsTheHistory: what wants the target waits, and
// says for whom.
func TestWhoHoldsATargetHoldsItThoughSomebodyFillsTheHistory(t *testing.T) {
	t.Parallel()
	w := newLane(t)
	holder, urgent := w.open(t, "holder"), w.open(t, "urgent", search, proceduretest.Emergency)
	w.claims(t, holder)
	w.fill(t, holder)
	if s := w.turn(t, urgent, 0); !heldBy(s, procedure.HoldTargetBusy, holder) {
		t.Errorf("in phase %s: %v", s.Phase, s.Holds)
	}
}
