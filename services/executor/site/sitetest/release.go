package sitetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Release is one release on the stream. Its fields are changed before it goes on.
type Release struct {
	ID    string
	Asked *releasev1.Request
	// Execute is how long one execution may take, Step how long other steps may.
	Execute, Step time.Duration
	// Approved is how long approvals count.
	Approved time.Duration
	// Evidence is what came with the request, as it is kept.
	Evidence []*releasev1.EvidenceRef

	world *World
}

// Version makes it a release of that version's artifact.
func Version(version int) func(*releasev1.Request) {
	return func(r *releasev1.Request) {
		r.Version = fmt.Sprintf("%d.0.0", version)
		r.Artifacts[0].Location, r.Artifacts[0].Digest = Location(version), DigestOf(version)
	}
}

// Release makes a release that does not exist yet: the first event is still to come.
// Without changes it is of version 2 to target eu1.
func (w *World) Release(t *testing.T, changes ...func(*releasev1.Request)) *Release {
	t.Helper()
	asked := proceduretest.Request(append([]func(*releasev1.Request){Version(2)}, changes...)...)
	return &Release{
		ID:    procedure.ReleaseID(asked.GetEnvironment(), asked.GetService(), asked.GetIdempotencyKey()),
		Asked: asked, Execute: time.Minute, Step: 10 * time.Minute, Approved: time.Hour, world: w,
	}
}

// History is what the stream holds of it.
func (r *Release) History(t *testing.T) eventstore.History {
	t.Helper()
	h, err := r.world.Store(procedure.ServiceApproval).Load(t.Context(), procedure.Aggregate(r.ID))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// State is what its events amount to.
func (r *Release) State(t *testing.T) procedure.State {
	t.Helper()
	s, _ := procedure.Fold(r.ID, r.History(t).Entries)
	return s
}

// Do appends an event by the service that writes such, for a person where one is
// named, and fails the test where it does not count.
func (r *Release) Do(t *testing.T, person string, event *releasev1.Event) {
	t.Helper()
	stored := r.Append(t, person, event)
	_, rejected := procedure.Fold(r.ID, r.History(t).Entries)
	for _, no := range rejected {
		if no.Entry.Sequence == stored.Sequence {
			t.Fatalf("%s does not count: %v", procedure.TypeOf(event), no.Reason)
		}
	}
}

// Decide is a person's decision about an escalated release, as soon as it counts.
func (r *Release) Decide(t *testing.T, person string, action releasev1.Intervened_Action) {
	t.Helper()
	natstest.Eventually(t, "the end of the claim that was lost", func() bool {
		return !time.Now().Before(r.State(t).DecideFrom.Add(50 * time.Millisecond))
	})
	r.Do(t, person, proceduretest.Intervene(action))
}

// Append appends an event, whether or not it counts.
func (r *Release) Append(t *testing.T, person string, event *releasev1.Event) eventstore.Stored {
	t.Helper()
	h := r.History(t)
	s, _ := procedure.Fold(r.ID, h.Entries)
	event.ProcedureDigest = r.world.Digest
	event.Actor = proceduretest.Service(procedure.WriterOf(procedure.TypeOf(event)))
	if person != "" {
		event.Actor = proceduretest.Person(person)
	}
	return r.world.Append(t, procedure.WriterOf(procedure.TypeOf(event)), eventstore.Draft{
		Aggregate: h.Aggregate, Expect: h.Last, Previous: s.Head.Previous(), Event: event,
	})[0]
}

// To brings the release to a phase by the good way, as the other services would.
func (r *Release) To(t *testing.T, phase procedure.Phase) {
	t.Helper()
	for range 30 {
		s := r.State(t)
		if s.Phase == phase {
			return
		}
		person, event := r.good(t, s)
		if event == nil && r.was(t, phase) {
			return // And has gone on by itself since.
		}
		if event == nil {
			t.Fatalf("release in phase %s: phase %s is not ahead", s.Phase, phase)
		}
		r.Do(t, person, event)
	}
	t.Fatalf("phase %s is not reached", phase)
}

// was reports whether the release has been in a phase.
func (r *Release) was(t *testing.T, phase procedure.Phase) bool {
	t.Helper()
	entries := r.History(t).Entries
	for i := range entries {
		if s, _ := procedure.Fold(r.ID, entries[:i+1]); s.Phase == phase {
			return true
		}
	}
	return false
}

func (r *Release) good(t *testing.T, s procedure.State) (string, *releasev1.Event) {
	t.Helper()
	now := time.Now()
	switch s.Phase { //nolint:exhaustive // The executor goes on by itself.
	case procedure.PhaseNone:
		e := proceduretest.Requested(r.Asked, now)
		e.GetRequested().Evidence = r.Evidence
		e.GetRequested().Timeouts.Execute, e.GetRequested().Timeouts.Step = durationpb.New(r.Execute), durationpb.New(r.Step)
		return "", e
	case procedure.PhaseGates:
		return "", proceduretest.Gates(s)
	case procedure.PhaseScope:
		return "", r.scope(t, s)
	case procedure.PhasePreview:
		return "", r.preview(t, s)
	case procedure.PhaseRisk:
		return "", proceduretest.Risk(s, now)
	case procedure.PhaseApprove:
		if e := proceduretest.Authorize(s, now); e != nil {
			return "", e
		}
		person := "anna"
		if len(s.Approvals) > 0 {
			person = "ben"
		}
		if s.Emergency() {
			person = "eve"
		}
		return person, proceduretest.Approval(s, now.Add(r.Approved))
	case procedure.PhaseNotify:
		return "", proceduretest.Notify(s)
	case procedure.PhaseVerify, procedure.PhaseVerifyRollback:
		return "", proceduretest.Verified(s, releasev1.CheckResult_VERDICT_PASS, false)
	case procedure.PhaseEscalated:
		return "eve", proceduretest.Intervene(procedure.Interventions(s)[0])
	}
	return "", nil
}

// scope ends step 2 with what the targets really stand at.
func (r *Release) scope(t *testing.T, s procedure.State) *releasev1.Event {
	t.Helper()
	e := proceduretest.Scope(s)
	for _, target := range e.GetScopeValidated().GetTargets() {
		target.State = r.world.Standing(t, target.GetTarget()).State
		target.Depth = r.world.Depth[target.GetTarget()]
	}
	return e
}

// preview ends the first half of step 3 with the classes of the real drivers.
func (r *Release) preview(t *testing.T, s procedure.State) *releasev1.Event {
	t.Helper()
	e := proceduretest.Preview(s, releasev1.DriverClass_DRIVER_CLASS_FENCED, nil, nil)
	for _, p := range e.GetChangePreviewed().GetPreviews() {
		if d := r.world.Driver(t, p.GetTarget()); d != nil {
			p.Class = d.Class()
		}
		p.RollbackDigest = s.Scoped(p.GetTarget()).GetState().GetDeployed().GetDigest()
		p.RollbackReady = p.GetRollbackDigest() != ""
	}
	return e
}

// Reaches waits until the release is in that phase, and returns its state.
func (r *Release) Reaches(t *testing.T, phase procedure.Phase) procedure.State {
	t.Helper()
	var s procedure.State
	natstest.Eventually(t, "phase "+phase.String(), func() bool {
		s = r.State(t)
		return s.Phase == phase
	})
	return s
}

// Resume ends a hold as the clock does, when its time is over.
func (r *Release) Resume(t *testing.T) {
	t.Helper()
	r.Reaches(t, procedure.PhaseHeld)
	natstest.Eventually(t, "the end of the hold", func() bool {
		return !time.Now().Before(r.State(t).HeldUntil.Add(50 * time.Millisecond))
	})
	r.Do(t, "", procedure.DecideDeadline(r.State(t), time.Now()))
}

// Story is the types of the events of the release that count, without those before
// the execution.
func (r *Release) Story(t *testing.T) string {
	t.Helper()
	h := r.History(t)
	_, rejected := procedure.Fold(r.ID, h.Entries)
	out := map[uint64]bool{}
	for _, e := range rejected {
		out[e.Entry.Sequence] = true
	}
	var story []string
	for _, e := range h.Entries {
		switch name := procedure.TypeOf(e.Event); {
		case out[e.Sequence], name == "notified" && len(story) > 0:
		case name == "notified":
			story = []string{}
		case story != nil:
			story = append(story, name)
		}
	}
	return strings.Join(story, " ")
}

// Find returns the newest event of that type; nil where there is none.
func (r *Release) Find(t *testing.T, name string) *releasev1.Event {
	t.Helper()
	var found *releasev1.Event
	for _, e := range r.History(t).Entries {
		if procedure.TypeOf(e.Event) == name {
			found = e.Event
		}
	}
	return found
}
