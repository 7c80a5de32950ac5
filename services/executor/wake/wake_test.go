package wake_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
	"github.com/blackdice/shipwarden/services/executor/wake"
)

// fails lets the validation of a release fail, after which it is taken back: what others were
// approved for is true again.
func fails(t *testing.T, r *sitetest.Release) {
	t.Helper()
	r.Reaches(t, procedure.PhaseVerify)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Reaches(t, procedure.PhaseVerifyRollback)
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
}

// TestAFreeTargetWakesTheNextOneAtOnce, on one server and on three: nothing but waking could
// make it go on. What was approved for something else is refused as soon.
func TestAFreeTargetWakesTheNextOneAtOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newLane(t, n)
		w.Carries(t, "eu1", 1)
		holder := w.open(t, "holder", procedure.PhaseExecute)
		w.one.Start(t, execute.New, rollback.New, release.New, wake.New)
		holder.Reaches(t, procedure.PhaseVerify)
		next := w.open(t, "next", procedure.PhaseExecute, sitetest.Version(3))
		next.Reaches(t, procedure.PhaseHeld)
		fails(t, holder)
		next.Reaches(t, procedure.PhaseVerify)
		if story := next.Story(t); story != "start_held target_freed execution_claimed execution_finished" {
			t.Errorf("the next one: %s", story)
		}
		last := w.open(t, "last", procedure.PhaseExecute, search, sitetest.Version(4))
		last.Reaches(t, procedure.PhaseHeld)
		next.Do(t, "", proceduretest.Verified(next.State(t), releasev1.CheckResult_VERDICT_PASS, false))
		if s := last.Reaches(t, procedure.PhaseRecord); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || s.Findings[len(s.Findings)-1].GetRule() != procedure.HoldTargetChanged {
			t.Errorf("the last one ended as %s: %v", s.Outcome, s.Findings)
		}
		if story := last.Story(t); story != "start_held target_freed execution_refused" {
			t.Errorf("the last one: %s", story)
		}
	})
}

// TestTheOrderIsKeptByWaking: of three that wait the emergency goes on first, then who asked
// first, each when the one before is over, and nobody else is disturbed.
func TestTheOrderIsKeptByWaking(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newLane(t, n)
		w.Carries(t, "eu1", 1)
		holder := w.open(t, "holder", procedure.PhaseExecute)
		w.one.Start(t, execute.New, rollback.New, release.New, wake.New)
		holder.Reaches(t, procedure.PhaseVerify)
		first := w.open(t, "first", procedure.PhaseExecute, sitetest.Version(3))
		second := w.open(t, "second", procedure.PhaseExecute, search, sitetest.Version(4))
		urgent := w.open(t, "urgent", procedure.PhaseExecute, search, proceduretest.Emergency, sitetest.Version(5))
		for _, r := range []*sitetest.Release{first, second, urgent} {
			r.Reaches(t, procedure.PhaseHeld)
		}
		order := []*sitetest.Release{holder, urgent, first, second}
		for i, r := range order {
			r.Reaches(t, procedure.PhaseVerify)
			for _, later := range order[i+1:] {
				if s := later.State(t); s.Phase != procedure.PhaseHeld || s.Freed.Release != "" || s.Holds[0].GetSubject() != holder.ID {
					t.Errorf("while %s has the target %s is in phase %s: %v, woken by %q", r.Asked.GetIdempotencyKey(), later.Asked.GetIdempotencyKey(), s.Phase, s.Holds, s.Freed.Release)
				}
			}
			fails(t, r)
		}
		for i, r := range order[1:] {
			s := r.Reaches(t, procedure.PhaseRecord)
			if s.Freed.Release != order[i].ID || woken(t, r) != 1 {
				t.Errorf("%s was woken %d times, by %s, not once by %s", r.Asked.GetIdempotencyKey(), woken(t, r), s.Freed.Release, order[i].ID)
			}
		}
	})
}

// TestWhoDoesNotTakeItPassesItOn: who is woken is held by something else, refused, or taken
// back by people. The next one is woken then, and not before, and by the same end.
func TestWhoDoesNotTakeItPassesItOn(t *testing.T) {
	freeze := &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldFreeze, time.Now().Add(time.Hour))}}
	refused := &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{ExecutionRefused: &releasev1.ExecutionRefused{Findings: proceduretest.Blocking("change.digest")}}}
	for name, then := range map[string]struct {
		person string
		event  *releasev1.Event
	}{
		"a freeze holds it": {"", freeze}, "it is refused": {"", refused}, "it is withdrawn": {"otto", proceduretest.Withdraw()},
		"it is rejected": {"anna", proceduretest.Reject()}, "a newer one takes its place": {"", proceduretest.Supersede("shop-newer")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLane(t, natstest.Single(t))
			holder := w.holds(t, "holder")
			first := w.waits(t, "first", holder, sitetest.Version(3))
			second := w.waits(t, "second", holder, search, sitetest.Version(4))
			third := w.waits(t, "third", holder, search, sitetest.Version(5))
			end := w.letsGo(t, holder)
			w.wakes(t, holder)
			is(t, first, &end)
			is(t, second, nil)
			first.Do(t, then.person, then.event)
			w.wakes(t, first)
			is(t, second, &end)
			is(t, third, nil)
			if n := w.wakes(t, first) + w.wakes(t, holder); n != 0 || woken(t, first) != 1 {
				t.Errorf("delivered again: %d more events, the first one was woken %d times", n, woken(t, first))
			}
		})
	}
}

// TestNobodyIsLostBetweenALookAndAHold: it found the target held, and says so when that is over
// and everybody who waited was woken.
func TestNobodyIsLostBetweenALookAndAHold(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	late := w.open(t, "late", procedure.PhaseExecute, sitetest.Version(3))
	drafts, err := execute.New(w.one.Site, time.Now).Act(t.Context(), late.Task(t, 1))
	if err != nil || len(drafts) != 1 || drafts[0].Event.GetStartHeld() == nil {
		t.Fatalf("%v, %v", drafts, err)
	}
	end := w.letsGo(t, holder)
	if n := w.wakes(t, holder); n != 0 {
		t.Fatalf("%d were woken", n)
	}
	w.Append(t, procedure.ServiceExecutor, drafts...)
	is(t, late, nil)
	w.wakes(t, late)
	is(t, late, &end)
}

// TestAnExecutorThatDiesBeforeItWakesWakesLater: between letting go and waking it ends, or finds
// who is next and ends before that is stored. Another one wakes; and the same message once
// more, or in two executors at once, wakes nobody again.
func TestAnExecutorThatDiesBeforeItWakesWakesLater(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newLane(t, n)
		holder := w.holds(t, "holder")
		next := w.waits(t, "next", holder, sitetest.Version(3))
		end := w.letsGo(t, holder)
		lost, err := wake.New(w.one.Site, time.Now).Act(t.Context(), holder.Task(t, 1))
		if err != nil || len(lost) != 1 {
			t.Fatalf("%v, %v", lost, err)
		}
		is(t, next, nil)
		two := w.Executor(t, "two", nil)
		two.Start(t, wake.New)
		next.Reaches(t, procedure.PhaseExecute)
		is(t, next, &end)
		// The first one was only asleep.
		if _, err := w.Store(procedure.ServiceExecutor).Append(t.Context(), lost...); !sitetest.Conflict(err) {
			t.Errorf("the one that was asleep: %v", err)
		}
		next.Do(t, "", held(holder.ID))
		for range 5 {
			if n := w.wakes(t, holder) + w.wakes(t, next); n != 0 {
				t.Errorf("delivered again it writes %d events", n)
			}
		}
		two.Stop()
		if woken(t, next) != 1 {
			t.Errorf("it was woken %d times", woken(t, next))
		}
		is(t, next, nil)
	})
}

// TestWhatDoesNotCountIsNotSaidAgain: the clock of the executor is ahead, and the event does not
// count. It would not the next time either, and each stays in the history for good.
func TestWhatDoesNotCountIsNotSaidAgain(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	next := w.waits(t, "next", holder, sitetest.Version(3))
	end := w.letsGo(t, holder)
	ahead := eventstore.New(w.JetStream(), envelopetest.Ring(), envelopetest.Signer(procedure.ServiceExecutor), func() time.Time { return time.Now().Add(time.Hour) })
	task := next.Task(t, 1)
	if _, err := ahead.Append(t.Context(), task.Draft(procedure.DecideFreed(task.State, end, []string{"eu1"}))); err != nil {
		t.Fatal(err)
	}
	is(t, next, nil)
	if n := w.wakes(t, holder); n != 0 || woken(t, next) != 1 {
		t.Errorf("%d more events, %d in all", n, woken(t, next))
	}
}

// TestWakingEndsNoOtherWait: it waits for a freeze, for a freeze as well, or for another target
// that is still held. That one wakes it later.
func TestWakingEndsNoOtherWait(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder, other := w.holds(t, "holder"), w.holds(t, "other", onto("eu2"))
	frozen := w.open(t, "frozen", procedure.PhaseExecute, sitetest.Version(3))
	frozen.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldFreeze, time.Now().Add(time.Hour))}})
	both := w.open(t, "both", procedure.PhaseExecute, sitetest.Version(3))
	both.Do(t, "", held(holder.ID, procedure.HoldFreeze))
	wide := w.waits(t, "wide", holder, sitetest.Version(4), onto("eu1", "eu2"))
	w.letsGo(t, holder)
	before := map[*sitetest.Release]time.Time{frozen: frozen.State(t).HeldUntil, both: both.State(t).HeldUntil, wide: wide.State(t).HeldUntil}
	if n := w.wakes(t, holder); n != 0 {
		t.Errorf("%d were woken", n)
	}
	for r, until := range before {
		if is(t, r, nil); !r.State(t).HeldUntil.Equal(until) {
			t.Errorf("%s waits until %s, not %s", r.ID, r.State(t).HeldUntil, until)
		}
	}
	end := w.letsGo(t, other)
	w.wakes(t, other)
	is(t, wide, &end)
}

// TestWhatWaitsInStep3IsWokenWhereNobodyMayStart: it takes nothing yet, and would find the
// target held again.
func TestWhatWaitsInStep3IsWokenWhereNobodyMayStart(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	early := w.open(t, "early", procedure.PhaseRisk, sitetest.Version(3))
	early.Do(t, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: &releasev1.Held{
		Reasons: []*releasev1.HoldReason{{Rule: procedure.HoldTargetBusy, Subject: holder.ID}}, Until: timestamppb.New(time.Now().Add(time.Hour)),
	}}})
	starts := w.waits(t, "starts", holder, search, sitetest.Version(4))
	end := w.letsGo(t, holder)
	w.wakes(t, holder)
	is(t, starts, &end)
	is(t, early, nil)
	starts.Do(t, "otto", proceduretest.Withdraw())
	w.wakes(t, starts)
	if s := early.State(t); s.Phase != procedure.PhaseScope || s.Freed != end {
		t.Errorf("in phase %s, woken by %v", s.Phase, s.Freed)
	}
}

// forged is the message that would wake a release, signed by that service in the name of the
// executor.
func forged(t *testing.T, r *sitetest.Release, by procedure.Freed, service string) *nats.Msg {
	t.Helper()
	task := r.Task(t, 1)
	draft := task.Draft(procedure.DecideFreed(task.State, by, []string{"eu1"}))
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	e := draft.Event
	e.Id, e.Aggregate, e.Writer, e.Time, e.Previous = id.String(), draft.Aggregate, procedure.ServiceExecutor, timestamppb.Now(), draft.Previous
	m, err := envelope.Seal(envelopetest.Signer(procedure.ServiceExecutor), e)
	if err != nil {
		t.Fatal(err)
	}
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(m.Data), m.Data)
	m.Header.Set(envelope.SignatureHeader, envelopetest.KeyID(service)+" "+base64.StdEncoding.EncodeToString(ed25519.Sign(envelopetest.PrivateKey(service), signed)))
	return m
}

// TestForgedWakingWakesNobody: another service signs in the executor's name, somebody copies what
// the executor signed, and no other service may publish it at all. Signed by the executor it
// wakes, which shows that nothing else is wrong with it.
func TestForgedWakingWakesNobody(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	next := w.waits(t, "next", holder, sitetest.Version(3))
	store := func(m *nats.Msg) {
		t.Helper()
		if _, err := w.JetStream().PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	by := procedure.Freed{Release: holder.ID, Sequence: 7}
	others := []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceRecorder}
	for _, service := range others {
		store(forged(t, next, by, service))
		is(t, next, nil)
		if slices.Contains(eventstore.RightsOf(service).Publish, "rel.*.executor.>") {
			t.Errorf("%s may publish what wakes", service)
		}
	}
	genuine := forged(t, next, by, procedure.ServiceExecutor)
	store(genuine)
	is(t, next, &by)
	next.Do(t, "", held(holder.ID))
	store(genuine)
	is(t, next, nil)
	// A message that wakes the step has no say in it.
	if n := w.wakes(t, next); n != 0 {
		t.Errorf("%d were woken while the target is held", n)
	}
}

// TestAHistoryThatSomebodyFillsKeepsNobodyAsleep, and neither does a name that no release has.
func TestAHistoryThatSomebodyFillsKeepsNobodyAsleep(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	filled := w.waits(t, "filled", holder, search, sitetest.Version(3), proceduretest.Emergency)
	for range eventstore.MaxHistory {
		if _, err := w.JetStream().PublishAsync(procedure.Aggregate(filled.ID)+".approval.approval_given", []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	<-w.JetStream().PublishAsyncComplete()
	next := w.waits(t, "next", holder, search, sitetest.Version(4), proceduretest.Emergency)
	end := w.letsGo(t, holder)
	if n := w.wakes(t, holder); n != 1 {
		t.Errorf("%d were woken", n)
	}
	is(t, next, &end)
}

// TestAllWhoGoOnAreWokenSomeAtATime: nobody goes before an emergency, so all are woken, by
// batches that the bus takes.
func TestAllWhoGoOnAreWokenSomeAtATime(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	var all []*sitetest.Release
	for i := range 40 {
		all = append(all, w.waits(t, fmt.Sprintf("urgent-%d", i), holder, search, proceduretest.Emergency, sitetest.Version(3)))
	}
	end := w.letsGo(t, holder)
	step := wake.New(w.one.Site, time.Now)
	var batches []int
	for range 3 {
		events, err := w.one.Turn(t.Context(), step, reactor.Task{
			State: holder.State(t), History: holder.History(t), Cause: holder.Cause(t), Delivery: 1, Now: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, len(events))
	}
	if !slices.Equal(batches, []int{32, 8, 0}) {
		t.Errorf("batches of %v", batches)
	}
	for _, r := range all {
		is(t, r, &end)
	}
}

// meanwhile is a store that lets something happen once, right after a target was read.
type meanwhile struct {
	*eventstore.Store
	happens *sync.Once
	what    func()
}

func (m meanwhile) Last(ctx context.Context, aggregate string) (procedure.Entry, bool, error) {
	e, found, err := m.Store.Last(ctx, aggregate)
	if aggregate == procedure.TargetAggregate("eu1") {
		m.happens.Do(m.what)
	}
	return e, found, err
}

// TestWhoIsWokenWasNotOvertakenMeanwhile: while it is looked whether the second one goes on, the
// first one claims. It goes first no more, and has the target.
func TestWhoIsWokenWasNotOvertakenMeanwhile(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	first := w.waits(t, "first", holder, sitetest.Version(3))
	second := w.waits(t, "second", holder, search, sitetest.Version(4))
	end := w.letsGo(t, holder)
	first.Do(t, "", procedure.DecideFreed(first.State(t), end, []string{"eu1"}))
	documents, err := w.one.Documents(t.Context(), w.Digest)
	if err != nil {
		t.Fatal(err)
	}
	look := queue.Look{State: second.State(t), Entries: second.History(t).Entries, Documents: documents, Now: time.Now(), Turn: time.Hour}
	store := meanwhile{Store: w.Store(procedure.ServiceExecutor), happens: new(sync.Once), what: func() {
		first.Do(t, "", proceduretest.Claim(first.State(t), "executor-2", time.Now()))
		w.Lock(t, "eu1", first.ID, "executor-2")
	}}
	if next, err := queue.Next(t.Context(), store, look); next || err != nil {
		t.Errorf("the second one is woken: %t, %v", next, err)
	}
	if s := first.State(t); s.Phase != procedure.PhaseExecuting {
		t.Errorf("the first one is in phase %s", s.Phase)
	}
}

// TestOnlyTheLastEndOnATargetIsToldOf: the step is new and reads every end on record, or one is
// delivered again after another release had the target.
func TestOnlyTheLastEndOnATargetIsToldOf(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	first := w.holds(t, "first")
	w.letsGo(t, first)
	second := w.holds(t, "second", sitetest.Version(3))
	next := w.waits(t, "next", second, sitetest.Version(4))
	end := w.letsGo(t, second)
	if n := w.wakes(t, first); n != 0 {
		t.Errorf("the end of the first one wakes %d", n)
	}
	is(t, next, nil)
	w.wakes(t, second)
	is(t, next, &end)
}

// TestWhoIsOnNoListIsWokenByItsOwnHold: no document has its service on the target, and the end
// of the other one does not find it.
func TestWhoIsOnNoListIsWokenByItsOwnHold(t *testing.T) {
	w := newLane(t, natstest.Single(t))
	holder := w.holds(t, "holder")
	stray := w.waits(t, "stray", holder, func(q *releasev1.Request) { q.Service = "stray" }, sitetest.Version(3))
	end := w.letsGo(t, holder)
	if n := w.wakes(t, holder); n != 0 {
		t.Errorf("%d were woken", n)
	}
	w.wakes(t, stray)
	is(t, stray, &end)
}
