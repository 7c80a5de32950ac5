package view

import (
	"time"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Timeline follows a release event by event. It is not safe for concurrent use.
type Timeline struct {
	state   procedure.State
	steps   map[string]*step
	spans   []Span
	parts   []Part
	digests []string
	updated time.Time
	ended   time.Time
}

// Span is a stay in one phase. To is zero while it lasts.
type Span struct {
	Phase    procedure.Phase
	From, To time.Time
}

// Part is a part that a person had in a release, such as "approver".
type Part struct {
	Person string
	Part   string
	// Refused says that only the proof for gates that were refused names them. The
	// record, whose form is digested, does not list them among its people.
	Refused bool
}

// New returns the timeline of a release of which nothing is known yet.
func New(release string) *Timeline {
	t := &Timeline{state: procedure.State{Release: release}, steps: make(map[string]*step, len(stepNames))}
	for _, n := range stepNames {
		t.steps[n.number] = &step{}
	}
	return t
}

// Of returns the timeline of a release through the given entries, of which those
// that do not count are passed over.
func Of(release string, entries []procedure.Entry) *Timeline {
	t := New(release)
	for _, e := range entries {
		_ = t.Add(e) // The record keeps the reason; here the entry just does not count.
	}
	return t
}

// Add goes on by one entry. With an error the entry does not count, and the
// timeline is as it was; the error is that of procedure.Evolve.
func (t *Timeline) Add(e procedure.Entry) error {
	before := t.state
	after, err := procedure.Evolve(before, e)
	if err != nil {
		return err
	}
	t.state, t.updated = after, e.Stored
	t.advance(before, after, e)
	if ended(before, after) {
		t.ended = e.Stored
	}
	if before.Phase != after.Phase || before.Entered != after.Entered {
		t.enter(after.Phase, e.Stored)
	}
	t.note(e.Event)
	return nil
}

func (t *Timeline) enter(p procedure.Phase, at time.Time) {
	if n := len(t.spans); n > 0 {
		last := &t.spans[n-1]
		if last.Phase == p {
			return
		}
		last.To = at
	}
	t.spans = append(t.spans, Span{Phase: p, From: at})
}

// State returns the release as the procedure sees it.
func (t *Timeline) State() procedure.State { return t.state }

// Spans returns the phases that the release was in, in order.
func (t *Timeline) Spans() []Span { return t.spans }

// Parts returns everybody who had a part, in the order of the events.
func (t *Timeline) Parts() []Part { return t.parts }

// Digests returns the digests of the release's artifacts.
func (t *Timeline) Digests() []string { return t.digests }

// Updated is when the last event that counts was stored.
func (t *Timeline) Updated() time.Time { return t.updated }

// Ended is when the release got its outcome; zero before.
func (t *Timeline) Ended() time.Time { return t.ended }

// Release returns the release as clients see it. The version of the procedure is
// not among what the release's own events tell.
func (t *Timeline) Release(rejected uint32) *recorderv1.Release {
	s := t.state
	r := &recorderv1.Release{
		Release: s.Release, Service: s.Request.GetService(), Environment: s.Request.GetEnvironment(),
		Version: s.Request.GetVersion(), Trigger: s.Request.GetTrigger(),
		Owner: s.Request.GetOwner(), Requester: s.Request.GetRequester(),
		Phase: s.Phase.String(), Outcome: s.Outcome,
		Requested: stamp(s.RequestedAt), Updated: stamp(t.updated), Ended: stamp(t.ended),
		Steps: t.Steps(), Holds: procedure.Holding(s), Actions: procedure.Actions(s),
		ChangeDigest: s.ChangeDigest, ProcedureDigest: s.ProcedureDigest, Artifacts: s.Artifacts,
		Targets: procedure.Targets(s.Request), OpenEscalations: s.OpenEscalations(),
		Summary: Summary(s), LastSequence: s.Head.Sequence,
		Closed: s.Phase == procedure.PhaseClosed, RejectedEvents: rejected, FollowUps: FollowUps(s), Rollbacks: Rollbacks(s),
		SignOffs: signOffs(s),
	}
	if d, ok := procedure.NextDeadline(s); ok {
		r.Deadline = stamp(d.At)
	}
	if s.ReviewOwed() {
		r.ReviewDue = stamp(s.ReviewDue)
	}
	if s.Later.Looks > 0 {
		r.LaterLooks = &recorderv1.LaterLooks{
			Looks: s.Later.Looks, Unseen: s.Later.Unseen, Newest: stamp(s.Later.Ended),
			Revoked: stamp(s.Later.RevokedAt), Failed: s.Later.Revoked,
		}
	}
	if s.Phase == procedure.PhaseApprove {
		// As of the last event: what has expired since is for the approval
		// service to say, which knows the time.
		_, r.Missing = procedure.Count(s, t.updated)
	}
	return r
}

// note keeps who had a part and which artifacts it is about.
func (t *Timeline) note(e *releasev1.Event) {
	switch d := e.GetData().(type) {
	case *releasev1.Event_Requested:
		r := d.Requested.GetRequest()
		t.part(r.GetRequester(), "requester")
		t.part(r.GetOwner(), "owner")
		for _, a := range r.GetAuthors() {
			t.part(a, "author")
		}
		for _, a := range r.GetArtifacts() {
			t.digest(a.GetDigest())
		}
	case *releasev1.Event_GatesConfirmed:
		for _, v := range d.GatesConfirmed.GetVerdicts() {
			for _, a := range v.GetAuthors() {
				t.part(a, "author")
			}
		}
	case *releasev1.Event_GatesRefused:
		for _, v := range d.GatesRefused.GetVerdicts() {
			for _, a := range v.GetAuthors() {
				t.add(Part{Person: a, Part: "author", Refused: true})
			}
		}
	case *releasev1.Event_ScopeValidated:
		for _, a := range d.ScopeValidated.GetArtifacts() {
			t.digest(a.GetDigest())
			for _, p := range a.GetPlatforms() {
				t.digest(p.GetDigest())
			}
		}
	}
	if e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN {
		t.part(e.GetActor().GetId(), partOf(e))
	}
}

// partOf names the part that an event makes its actor have.
func partOf(e *releasev1.Event) string {
	switch e.GetData().(type) {
	case *releasev1.Event_Requested:
		return "requester"
	case *releasev1.Event_ApprovalGiven, *releasev1.Event_ApprovalWithdrawn, *releasev1.Event_Rejected:
		return "approver"
	case *releasev1.Event_ReviewCompleted:
		return "reviewer"
	}
	return "operator"
}

func (t *Timeline) part(person, part string) { t.add(Part{Person: person, Part: part}) }

func (t *Timeline) add(p Part) {
	for _, have := range t.parts {
		if have.Person == p.Person && have.Part == p.Part {
			return
		}
	}
	if p.Person != "" {
		t.parts = append(t.parts, p)
	}
}

func (t *Timeline) digest(d string) {
	for _, have := range t.digests {
		if have == d {
			return
		}
	}
	if d != "" {
		t.digests = append(t.digests, d)
	}
}
