package execute_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestEventsOfAnExecutionThatDoNotCount puts them on the real stream, under real keys.
// The numbers are those of docs/bad-input.md.
func TestEventsOfAnExecutionThatDoNotCount(t *testing.T) {
	finished := func(s procedure.State, status releasev1.TargetResult_Status) *releasev1.Event {
		return proceduretest.Executed(s, map[string]releasev1.TargetResult_Status{"eu1": status})
	}
	for _, test := range []struct {
		name   string
		phase  procedure.Phase
		writer string
		event  func(s procedure.State) *releasev1.Event
	}{
		{"59 a claim without approval", procedure.PhaseApprove, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			return proceduretest.Claim(s, "one", time.Now())
		}},
		{"59 a claim of another change", procedure.PhaseExecute, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			return procedure.DecideClaim(s, "one", proceduretest.Digest('0'), time.Now().Add(time.Minute), time.Now().Add(time.Minute))
		}},
		{"61 an outcome without a claim", procedure.PhaseExecute, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			return finished(s, releasev1.TargetResult_STATUS_DONE)
		}},
		{"61 an outcome of an older attempt", procedure.PhaseExecuting, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			s.Attempt--
			return finished(s, releasev1.TargetResult_STATUS_DONE)
		}},
		{"62 an outcome twice", procedure.PhaseVerify, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			return finished(s, releasev1.TargetResult_STATUS_DONE)
		}},
		{"62 a contradiction", procedure.PhaseVerify, procedure.ServiceExecutor, func(s procedure.State) *releasev1.Event {
			return finished(s, releasev1.TargetResult_STATUS_FAILED)
		}},
		{"80 a timer that is early", procedure.PhaseExecuting, procedure.ServiceApproval, func(s procedure.State) *releasev1.Event {
			next, _ := procedure.NextDeadline(s)
			return &releasev1.Event{Data: &releasev1.Event_DeadlinePassed{DeadlinePassed: &releasev1.DeadlinePassed{
				Deadline: next.Kind, Due: timestamppb.New(next.At),
			}}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			for r.State(t).Phase != test.phase {
				switch s := r.State(t); s.Phase {
				case procedure.PhaseExecute:
					r.Do(t, "", proceduretest.Claim(s, "one", time.Now()))
				case procedure.PhaseExecuting:
					r.Do(t, "", finished(s, releasev1.TargetResult_STATUS_DONE))
				default:
					r.To(t, min(test.phase, procedure.PhaseExecute))
				}
			}
			h, before := r.History(t), r.State(t)
			event := test.event(before)
			event.ProcedureDigest = w.Digest
			w.Append(t, test.writer, eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Previous: before.Head.Previous(), Event: event})
			if after := r.State(t); after.Phase != before.Phase || after.Events != before.Events || after.Head != before.Head {
				t.Errorf("it counts: in phase %s after %s", after.Phase, before.Phase)
			}
		})
	}
}

// TestAClaimWithoutApprovalRaisesAnAlarm is bad input 59: the claim has no effect, and
// whoever reads the history says so in the metric of ShipwardenClaimUncounted, once.
func TestAClaimWithoutApprovalRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseApprove)
	h, before := r.History(t), r.State(t)
	registry := prometheus.NewRegistry()
	reader := eventstoretest.Store(w, procedure.ServiceApproval, eventstore.WithMetrics(registry))
	uncounted := func() (claims float64) {
		t.Helper()
		for range 2 { // A message is counted once by whoever reads it.
			if _, err := reader.Load(t.Context(), h.Aggregate); err != nil {
				t.Fatal(err)
			}
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "shipwarden_events_uncounted_total" && m.GetLabel()[0].GetValue() == "execution_claimed" {
					claims += m.GetCounter().GetValue()
				}
			}
		}
		return claims
	}
	if n := uncounted(); n != 0 {
		t.Fatalf("%v claims before there is one", n)
	}
	claim := proceduretest.Claim(before, "one", time.Now())
	claim.ProcedureDigest = w.Digest
	w.Append(t, procedure.ServiceExecutor, eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Previous: before.Head.Previous(), Event: claim})
	if n := uncounted(); n != 1 {
		t.Errorf("%v claims are counted, want 1", n)
	}
	if after := r.State(t); after.Phase != procedure.PhaseApprove || after.Head != before.Head {
		t.Errorf("the claim counts: phase %s", after.Phase)
	}
}

// TestAClaimSignedByAnotherServiceDoesNotCount is bad input 58: whoever has another
// service's key and may publish under the executor's name still claims nothing.
func TestAClaimSignedByAnotherServiceDoesNotCount(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	before := r.State(t)
	forger, err := envelope.NewSigner(envelopetest.KeyID(procedure.ServiceApproval), procedure.ServiceExecutor, envelopetest.PrivateKey(procedure.ServiceApproval))
	if err != nil {
		t.Fatal(err)
	}
	claim := proceduretest.Entry(before, before.Head.Sequence+1, time.Now(), nil, proceduretest.Claim(before, "one", time.Now())).Event
	claim.ProcedureDigest = w.Digest
	message, err := envelope.Seal(forger, claim)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.JetStream().PublishMsg(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	h, after := r.History(t), r.State(t)
	if len(h.Invalid) != 1 || after.Phase != procedure.PhaseExecute || after.Events != before.Events {
		t.Errorf("%d are not authentic, in phase %s", len(h.Invalid), after.Phase)
	}
}

// TestAClaimWithoutItsLockReachesNoTarget: whoever claims a release past the locks of its targets has
// nothing by which a target would let them in, and the release fails.
func TestAClaimWithoutItsLockReachesNoTarget(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	r.Do(t, "", proceduretest.Claim(r.State(t), "one", time.Now()))
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	if s.Phase != procedure.PhaseRemedy || !strings.Contains(s.Result("eu1").GetMessage(), "stale fence") {
		t.Errorf("in phase %s: %v", s.Phase, s.Result("eu1"))
	}
	if w.Running(t, "eu1") != 1 || len(w.Effects(t, "eu1", r.ID)) != 0 {
		t.Errorf("version %d after %d effects", w.Running(t, "eu1"), len(w.Effects(t, "eu1", r.ID)))
	}
}
