package approvaltest

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rig is a bus on which a procedure document is in effect.
type Rig struct {
	natstest.Server
	// Store is that of the approval service.
	Store      *eventstore.Store
	Evidence   *evidence.Store
	Procedures *policy.Source
	// Digest is that of the document in effect.
	Digest string

	stores map[string]*eventstore.Store
}

// New starts a bus of one server that ends with the test, and puts the document into
// effect.
func New(t testing.TB, document *policyv1.Procedure) *Rig {
	t.Helper()
	return On(t, natstest.Single(t), document)
}

// On makes the streams on servers that have none, and puts the document into effect.
func On(t testing.TB, n natstest.Server, document *policyv1.Procedure) *Rig {
	t.Helper()
	r := &Rig{Server: n, stores: map[string]*eventstore.Store{}}
	eventstoretest.Provision(t, r)
	for _, writer := range []string{
		procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder,
	} {
		r.stores[writer] = eventstoretest.Store(r, writer)
	}
	r.Store = r.stores[procedure.ServiceApproval]
	r.Evidence = evidence.New(r.JetStream())
	r.Procedures = policy.NewSource(r.Evidence.Get)
	r.Activate(t, document)
	return r
}

// Activate puts another document into effect.
func (r *Rig) Activate(t testing.TB, document *policyv1.Procedure) {
	t.Helper()
	data, err := protojson.MarshalOptions{Multiline: true}.Marshal(document) // which is YAML as well
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(data, "document"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Evidence.Put(t.Context(), "application/yaml", "procedure", data); err != nil {
		t.Fatal(err)
	}
	active, err := standing.ReadProcedure(t.Context(), r.Store, document.GetId())
	if err != nil {
		t.Fatal(err)
	}
	r.Digest = policy.Digest(data)
	if _, err := r.Store.Append(t.Context(), active.Draft(&releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: document.GetVersion(), Digest: r.Digest},
	}})); err != nil {
		t.Fatal(err)
	}
}

// Index is that of the document in effect.
func (r *Rig) Index(t testing.TB) *policy.Index {
	t.Helper()
	index, err := r.Procedures.ByDigest(t.Context(), r.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// Task is what a step is given for the release now.
func (r *Rig) Task(t testing.TB, release string, now time.Time) reactor.Task {
	t.Helper()
	h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	s, rejected := procedure.Fold(release, h.Entries)
	for _, x := range rejected {
		t.Fatalf("release %s: event %d does not count: %v", release, x.Entry.Sequence, x.Reason)
	}
	task := reactor.Task{State: s, History: h, Delivery: 1, Now: now}
	if n := len(h.Entries); n > 0 {
		task.Cause = h.Entries[n-1]
	}
	return task
}

// State is what the release's history amounts to, all of which must count.
func (r *Rig) State(t testing.TB, release string) procedure.State {
	t.Helper()
	return r.Task(t, release, time.Time{}).State
}

// Act lets the step act at that time, as often as it is due, and returns the state
// afterwards. The error is the step's.
func (r *Rig) Act(t testing.TB, step reactor.Step, release string, now time.Time) (procedure.State, error) {
	t.Helper()
	for range 20 {
		task := r.Task(t, release, now)
		if !procedure.Due(step.ID, task.State, now) {
			return task.State, nil
		}
		drafts, err := step.Act(t.Context(), task)
		if err != nil || len(drafts) == 0 {
			return task.State, err
		}
		if _, err := r.Store.Append(t.Context(), drafts...); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("step %s is due again and again", step.ID)
	return procedure.State{}, nil
}

// Request stores the first event of a release, entered in the catalog of its service
// as intake does it, and returns the release.
func (r *Rig) Request(t testing.TB, changes ...func(*releasev1.Request)) string {
	t.Helper()
	request := proceduretest.Request(changes...)
	release := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	service, err := standing.ReadService(t.Context(), r.Store, request.GetEnvironment(), request.GetService())
	if err != nil {
		t.Fatal(err)
	}
	first := proceduretest.Requested(request, time.Now())
	first.ProcedureDigest = r.Digest
	if _, err := r.Store.Append(t.Context(),
		eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: first},
		service.Draft(service.Changed(release, append(service.Open, release), service.Debts)),
	); err != nil {
		t.Fatal(err)
	}
	return release
}

// Do stores the release's next event, by the person of that name, or by the service
// that writes such events where the name is empty. It has to count.
func (r *Rig) Do(t testing.TB, release, person string, event *releasev1.Event) procedure.State {
	t.Helper()
	task := r.Task(t, release, time.Now())
	e := proto.CloneOf(event)
	writer := procedure.WriterOf(procedure.TypeOf(e))
	e.ProcedureDigest, e.Actor = task.State.ProcedureDigest, proceduretest.Service(writer)
	if person != "" {
		e.Actor = proceduretest.Person(person)
	}
	if _, err := r.stores[writer].Append(t.Context(), eventstore.Draft{
		Aggregate: procedure.Aggregate(release), Expect: task.History.Last, Previous: task.State.Head.Previous(), Event: e,
	}); err != nil {
		t.Fatal(err)
	}
	return r.State(t, release)
}

// Events returns the types of the release's events, in order.
func (r *Rig) Events(t testing.TB, release string) []string {
	t.Helper()
	h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range h.Entries {
		all = append(all, procedure.TypeOf(e.Event))
	}
	return all
}
