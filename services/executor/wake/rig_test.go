package wake_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
	"github.com/blackdice/shipwarden/services/executor/wake"
)

func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

// lane is a world in which the shop and the search want the same targets, and nobody looks
// again by itself: there is no clock, and its time would be an hour.
type lane struct {
	*sitetest.World
	one *sitetest.Executor
}

func newLane(t *testing.T, n natstest.Server) *lane {
	t.Helper()
	w := sitetest.On(t, n, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	document := strings.Replace(sitetest.Document(`environments: [{name: production}]
services:
  - {name: shop}
  - {name: search}
targets:
  - {id: eu1, environment: production, services: [shop, search]}
  - {id: eu2, environment: production, services: [shop, search]}
`), "recheck: 1s", "recheck: 1h", 1)
	w.Digest = w.Keep(t, document)
	for version := 4; version <= 6; version++ {
		w.Place(t, version)
	}
	return &lane{w, w.Executor(t, "one", nil)}
}

func search(q *releasev1.Request) { q.Service = "search" }

func onto(targets ...string) func(*releasev1.Request) { return proceduretest.Waves(targets) }

// open makes a release that is among the open ones of its service, and brings it to a phase.
func (w *lane) open(t *testing.T, key string, phase procedure.Phase, changes ...func(*releasev1.Request)) *sitetest.Release {
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
	r.To(t, phase)
	return r
}

// holds is a release that has claimed its targets.
func (w *lane) holds(t *testing.T, key string, changes ...func(*releasev1.Request)) *sitetest.Release {
	t.Helper()
	r := w.open(t, key, procedure.PhaseExecute, changes...)
	r.Do(t, "", proceduretest.Claim(r.State(t), "executor-2", time.Now()))
	for _, id := range r.State(t).WaveTargets() {
		w.Lock(t, id, r.ID, "executor-2")
	}
	return r
}

// waits is a release whose start waits for that one.
func (w *lane) waits(t *testing.T, key string, by *sitetest.Release, changes ...func(*releasev1.Request)) *sitetest.Release {
	t.Helper()
	r := w.open(t, key, procedure.PhaseExecute, changes...)
	r.Do(t, "", held(by.ID))
	return r
}

// held holds a start for a release, and for more.
func held(by string, more ...string) *releasev1.Event {
	reasons := []*releasev1.HoldReason{{Rule: procedure.HoldTargetBusy, Subject: by, Message: "it has the target"}}
	for _, rule := range more {
		reasons = append(reasons, &releasev1.HoldReason{Rule: rule, Subject: "something"})
	}
	return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: &releasev1.Held{
		Reasons: reasons, Until: timestamppb.New(time.Now().Add(time.Hour)),
	}}}
}

// letsGo ends a release, which leaves its targets as they were; nobody is woken yet.
func (w *lane) letsGo(t *testing.T, r *sitetest.Release) procedure.Freed {
	t.Helper()
	r.Do(t, "", proceduretest.Executed(r.State(t), nil))
	r.To(t, procedure.PhaseRelease)
	if _, err := w.one.Turn(t.Context(), release.New(w.one.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	if s.Phase != procedure.PhaseRecord {
		t.Fatalf("%s in phase %s", r.ID, s.Phase)
	}
	return procedure.Freed{Release: r.ID, Sequence: s.Head.Sequence}
}

// wakes delivers the newest event of a release to the step until nothing is due, as the
// reactor does, and returns how many events it wrote.
func (w *lane) wakes(t *testing.T, r *sitetest.Release) (written int) {
	t.Helper()
	cause := r.Cause(t)
	for delivery := 1; ; delivery++ {
		task := r.TaskBy(t, cause, delivery)
		if !procedure.Due(procedure.StepWake, task.State, task.Now) {
			return written
		}
		events, err := w.one.Turn(t.Context(), wake.New(w.one.Site, time.Now), task)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return written
		}
		written += len(events)
	}
}

// woken is how often events that wake it were written to a release, whether they count or not.
func woken(t *testing.T, r *sitetest.Release) (n int) {
	t.Helper()
	for _, e := range r.History(t).Entries {
		if e.Event.GetTargetFreed() != nil {
			n++
		}
	}
	return n
}

// is demands that a release waits still, or looks again because of that end.
func is(t *testing.T, r *sitetest.Release, by *procedure.Freed) {
	t.Helper()
	s := r.State(t)
	switch {
	case by == nil && (s.Phase != procedure.PhaseHeld || s.HeldUntil.Before(time.Now().Add(30*time.Minute))):
		t.Errorf("%s does not wait: in phase %s until %s", r.ID, s.Phase, s.HeldUntil)
	case by != nil && (s.Phase != procedure.PhaseExecute || s.Freed != *by || len(s.Holds) > 0):
		t.Errorf("%s was not woken by %v: in phase %s, %v, held by %v", r.ID, *by, s.Phase, s.Freed, s.Holds)
	}
}
