package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func confirm(_ context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	return []eventstore.Draft{t.Draft(gatesConfirmed())}, nil
}

func TestADueStepActsAndItsEventCarriesTheReleaseOn(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		r.run(t, reactor.Config{}, confirm)
		release := r.request(t, "one")
		natstest.Eventually(t, "the next phase", func() bool { return r.state(t, release).Phase == procedure.PhaseScope })
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		h, err := r.store.Load(t.Context(), procedure.Aggregate(release))
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Entries) != 2 || h.Entries[1].Event.GetCausationId() != h.Entries[0].Event.GetId() {
			t.Errorf("history is %v, want the confirmation caused by the request", h.Entries)
		}
	})
}

// TestNothingIsDecidedAsOfATimeBeforeItHappened: by a clock that is behind, a hold whose end
// woke the step would still hold, and each next one be over when it is stored.
func TestNothingIsDecidedAsOfATimeBeforeItHappened(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		behind := time.Now().Add(-2 * time.Minute)
		tasks := make(chan reactor.Task, 1)
		r.run(t, reactor.Config{Now: func() time.Time { return behind }}, func(_ context.Context, task reactor.Task) ([]eventstore.Draft, error) {
			tasks <- task
			return nil, nil
		})
		r.request(t, "one")
		task := <-tasks
		if !task.Now.Equal(task.Cause.Stored) || !task.Own().Equal(behind) {
			t.Errorf("decided as of %s of what was stored %s, by a clock that shows %s", task.Now, task.Cause.Stored, task.Own())
		}
		if ahead := task.Cause.Stored.Add(time.Second); !task.NotBefore(ahead).Now.Equal(ahead) || !task.NotBefore(behind).Now.Equal(task.Now) {
			t.Error("a task is moved to an earlier time, or not to a later one")
		}
		if got := task.Draft(gatesConfirmed()).Event.GetDecided().AsTime(); !got.Equal(task.Now) {
			t.Errorf("the record says that it was decided as of %s", got)
		}
	})
}

func TestAStepThatIsNotDueOnlyAcknowledges(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		release := r.request(t, "one")
		s := r.state(t, release)
		task := reactor.Task{State: s, History: eventstore.History{Aggregate: procedure.Aggregate(release), Last: s.Head.Sequence}}
		if _, err := r.store.Append(t.Context(), task.Draft(gatesConfirmed())); err != nil {
			t.Fatal(err)
		}
		var acted atomic.Int32
		r.run(t, reactor.Config{}, func(context.Context, reactor.Task) ([]eventstore.Draft, error) {
			acted.Add(1)
			return nil, nil
		})
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		if got := acted.Load(); got != 0 {
			t.Errorf("the step acted %d times, want never", got)
		}
	})
}

// The server is asked only where it could know something that matters.
func TestAStepThatWasSeenNotToBeDueAsksTheServerNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		release := r.request(t, "one")
		s := r.state(t, release)
		task := reactor.Task{State: s, History: eventstore.History{Aggregate: procedure.Aggregate(release), Last: s.Head.Sequence}}
		if _, err := r.store.Append(t.Context(), task.Draft(gatesConfirmed())); err != nil {
			t.Fatal(err)
		}
		r.state(t, release) // From here on this process knows.
		acknowledged := r.settled(t, eventstore.StreamEvents, procedure.StepGates)
		asked, err := r.Connect(t).SubscribeSync("$JS.API.STREAM.MSG.GET." + eventstore.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		if err := asked.SetPendingLimits(-1, -1); err != nil {
			t.Fatal(err)
		}
		r.run(t, reactor.Config{}, confirm)
		natstest.Eventually(t, "an acknowledgment", acknowledged)
		if n, _, err := asked.Pending(); err != nil || n != 0 {
			t.Errorf("the server was asked %d times (%v), want never", n, err)
		}
		r.state(t, release)
		natstest.Eventually(t, "the question that a load asks", func() bool {
			n, _, err := asked.Pending()
			return err == nil && n > 0
		})
	})
}

func TestAStepDecidesAgainWhenSomebodyWasFaster(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		seen := make(chan int, 8)
		var acts atomic.Int32
		r.run(t, reactor.Config{}, func(ctx context.Context, task reactor.Task) ([]eventstore.Draft, error) {
			seen <- len(task.History.Entries)
			if acts.Add(1) == 1 {
				// Another process writes after this one has read.
				other := eventstoretest.Store(r, procedure.ServiceApproval)
				refusal := task.Draft(&releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{}}})
				if _, err := other.Append(ctx, refusal); err != nil {
					return nil, err
				}
			}
			return confirm(ctx, task)
		})
		release := r.request(t, "one")
		natstest.Eventually(t, "the next phase", func() bool { return r.state(t, release).Phase == procedure.PhaseScope })
		natstest.Eventually(t, "an acknowledgment", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		if first, second := <-seen, <-seen; first != 1 || second != 2 || acts.Load() != 2 {
			t.Errorf("%d acts on histories of %d, %d events, want 1 and then 2", acts.Load(), first, second)
		}
	})
}

func TestAStepMayClaimFirstAndActOnItsOwnClaim(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		var rounds atomic.Int32
		r.run(t, reactor.Config{}, func(ctx context.Context, task reactor.Task) ([]eventstore.Draft, error) {
			if rounds.Add(1) == 1 {
				return []eventstore.Draft{{Aggregate: "svc.production--shop", Event: &releasev1.Event{
					Data: &releasev1.Event_ServiceChanged{ServiceChanged: &releasev1.ServiceChanged{Release: task.State.Release}},
				}}}, nil
			}
			if _, found, err := r.store.Last(ctx, "svc.production--shop"); err != nil || !found {
				return nil, fmt.Errorf("the claim is not there: %w", err)
			}
			return confirm(ctx, task)
		})
		release := r.request(t, "one")
		natstest.Eventually(t, "the next phase", func() bool { return r.state(t, release).Phase == procedure.PhaseScope })
		if got := rounds.Load(); got != 2 {
			t.Errorf("the step acted %d times, want 2", got)
		}
	})
}

// Each event is on record for good, also the ones that the fold does not take.
func TestAStepWhoseEventDoesNotCountStoresOneForEachDelivery(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		var acts atomic.Int32
		r.run(t, reactor.Config{}, func(_ context.Context, task reactor.Task) ([]eventstore.Draft, error) {
			acts.Add(1)
			return []eventstore.Draft{task.Draft(&releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{}}})}, nil
		})
		release := r.request(t, "one")
		natstest.Eventually(t, "a second delivery", func() bool {
			return consumerOf(t, r, eventstore.StreamEvents, procedure.StepGates).CachedInfo().NumRedelivered > 0 && acts.Load() > 1
		})
		h, err := r.store.Load(t.Context(), procedure.Aggregate(release))
		if err != nil || len(h.Entries) > 1+int(acts.Load()) || acts.Load() > 4 {
			t.Errorf("%d acts and %d events (%v) in two deliveries, want one of each for a delivery", acts.Load(), len(h.Entries), err)
		}
		if got := r.state(t, release).Phase; got != procedure.PhaseGates {
			t.Errorf("the release is in phase %v, want gates", got)
		}
	})
}

func TestOneGoroutineWorksOnARelease(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		release := procedure.ReleaseID("production", "shop", "one")
		const wakes = 6
		for range wakes {
			h, err := r.store.Load(t.Context(), procedure.Aggregate(release))
			if err != nil {
				t.Fatal(err)
			}
			d := requested(release, "one")
			d.Expect = h.Last
			// Only the first one counts; all of them wake the step.
			if _, err := r.store.Append(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		var working, most, acted atomic.Int32
		r.run(t, reactor.Config{}, func(ctx context.Context, _ reactor.Task) ([]eventstore.Draft, error) {
			now := working.Add(1)
			defer working.Add(-1)
			most.Store(max(most.Load(), now))
			acted.Add(1)
			_, err := r.store.Epoch(ctx) // some work that takes a moment
			return nil, err
		})
		natstest.Eventually(t, "acknowledgments", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		if most.Load() != 1 || acted.Load() != wakes {
			t.Errorf("%d acts, at most %d at a time, want %d and 1", acted.Load(), most.Load(), wakes)
		}
	})
}

func TestAForgedMessageIsParkedAndTheOriginalKept(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		// The server's own answer, stored where an event should be: somebody named a
		// subject of the record as the address for a reply.
		const body = `{"stream":"REL","seq":12}`
		r.publish(t, "rel.forged.approval.requested", body)
		r.run(t, reactor.Config{Name: "p1"}, func(context.Context, reactor.Task) ([]eventstore.Draft, error) {
			return nil, errors.New("acted on a forged message")
		})
		natstest.Eventually(t, "a note", func() bool { return len(r.notes(t)) > 0 })
		natstest.Eventually(t, "an end of the delivery", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		notes := r.notes(t)
		if len(notes) != 1 {
			t.Fatalf("notes %v, want one", notes)
		}
		got := notes[0]
		if got.Kind != "dropped" || got.Stream != "REL" || got.Sequence != 1 || got.Subject != "rel.forged.approval.requested" ||
			got.Step != "approval-gates" || got.Process != "p1" || got.Body != `"{\"stream\":\"REL\",\"seq\":12}"` || got.Reason == "" {
			t.Errorf("note is %+v", got)
		}
		h, err := r.store.Load(t.Context(), "rel.forged")
		if err != nil || len(h.Invalid) != 1 {
			t.Errorf("history %+v, %v, want the original among the invalid", h, err)
		}
	})
}

func TestAReplayedEventOfAnotherReleaseIsParked(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		release := r.request(t, "one")
		stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		m, err := stream.GetLastMsgForSubject(t.Context(), eventstore.Filter(procedure.Aggregate(release)))
		if err != nil {
			t.Fatal(err)
		}
		header := nats.Header{"Shipwarden-Signature": m.Header["Shipwarden-Signature"]}
		for name, values := range m.Header {
			if name[:3] == "ce-" {
				header[name] = values
			}
		}
		if _, err := r.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "rel.other.approval.requested", Header: header, Data: m.Data}); err != nil {
			t.Fatal(err)
		}
		r.run(t, reactor.Config{}, confirm)
		natstest.Eventually(t, "the end of both deliveries", r.settled(t, eventstore.StreamEvents, procedure.StepGates))
		if notes := r.notes(t); len(notes) != 1 || notes[0].Subject != "rel.other.approval.requested" {
			t.Errorf("notes %v, want one for the replay", notes)
		}
		if got := r.state(t, release).Phase; got != procedure.PhaseScope {
			t.Errorf("the true release is in phase %v, want scope", got)
		}
	})
}

func TestAMessageOfAnUnknownKeyIsNotDroppedAtOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := newRig(t, n)
		r.request(t, "one")
		cfg := envelopetest.Config()
		cfg.Keys = cfg.GetKeys()[1:] // all but approval's
		blind := eventstore.New(r.JetStream(), ringOf(t, cfg), nil, timeNow)
		var acted atomic.Bool
		start(t, func(ctx context.Context) error {
			return reactor.Run(ctx, r.JetStream(), blind, reactor.Config{}, reactor.Step{
				ID:  procedure.StepGates,
				Act: func(context.Context, reactor.Task) ([]eventstore.Draft, error) { acted.Store(true); return nil, nil },
			})
		})
		natstest.Eventually(t, "a second delivery", func() bool {
			return consumerOf(t, r, eventstore.StreamEvents, procedure.StepGates).CachedInfo().NumRedelivered > 0
		})
		if acted.Load() || len(r.notes(t)) != 0 {
			t.Errorf("acted %v, notes %v, want neither", acted.Load(), r.notes(t))
		}
	})
}
