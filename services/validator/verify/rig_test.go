package verify_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/check/tcpcheck"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// ackWait is how long the server waits for a sign of life of a validator.
const ackWait = 2 * time.Second

// place is a target: a small service that answers as it is told, and counts.
type place struct {
	*httptest.Server
	mu     sync.Mutex
	digest string
	sick   map[string]bool
	asked  map[string]int
	// hiccup is a path that fails once, and hook runs whenever something is asked.
	hiccup string
	hook   func()
}

func newPlace(t *testing.T, digest string) *place {
	t.Helper()
	p := &place{digest: digest, sick: map[string]bool{}, asked: map[string]int{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		hook := p.hook
		p.mu.Unlock()
		if hook != nil {
			hook()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked[r.URL.Path]++
		switch {
		case p.hiccup == r.URL.Path:
			p.hiccup = ""
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/digest":
			fmt.Fprint(w, p.digest)
		case p.sick[r.URL.Path]:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// count is how often a path was asked for.
func (p *place) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// set makes a path fail from now on, or no more.
func (p *place) set(path string, sick bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sick[path] = sick
}

// once makes a path fail once.
func (p *place) once(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hiccup = path
}

// whenAsked has something done before every answer; nil for nothing.
func (p *place) whenAsked(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = do
}

// rig is a stream with one release, and validators that look at the places.
type rig struct {
	natstest.Server
	digest string
	places map[string]*target.Target
	asked  *releasev1.Request
	id     string
	// chosen is what step 3 chooses; nil for nothing.
	chosen *releasev1.Chosen
	// cluster makes the checks of controls in Kubernetes; nil for nobody.
	cluster check.Prober
}

// newRig makes a release that bakes for a second and is looked at ten times. document
// is what the procedure document holds beside its name.
func newRig(t *testing.T, document string, places map[string]*place, changes ...func(*releasev1.Request)) *rig {
	t.Helper()
	r := &rig{Server: natstest.Single(t), places: map[string]*target.Target{}}
	if err := eventstore.Provision(t.Context(), r.JetStream(), eventstoretest.Topology(r).WithAckWait(ackWait)); err != nil {
		t.Fatal(err)
	}
	ref, err := evidence.New(r.JetStream()).Put(t.Context(), "application/yaml", "procedure", []byte("id: PROC-DEPLOY-001\nversion: \"1.0\"\n"+document))
	if err != nil {
		t.Fatal(err)
	}
	r.digest = ref.GetDigest()
	for id, p := range places {
		r.place(t, id, p)
	}
	r.asked = proceduretest.Request(append([]func(*releasev1.Request){bake(time.Second, 100*time.Millisecond)}, changes...)...)
	r.id = procedure.ReleaseID(r.asked.GetEnvironment(), r.asked.GetService(), r.asked.GetIdempotencyKey())
	return r
}

func (r *rig) place(t *testing.T, id string, p *place) {
	t.Helper()
	at, err := target.New(&configv1.TargetAddress{Target: id, BaseUrl: p.URL, DigestPath: "/digest"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.places[id] = at
}

// look makes the named targets, on which the digest runs, all that can be looked at.
func (r *rig) look(t *testing.T, digest string, ids ...string) {
	t.Helper()
	r.places = map[string]*target.Target{}
	for _, id := range ids {
		r.place(t, id, newPlace(t, digest))
	}
}

func bake(all, interval time.Duration) func(*releasev1.Request) {
	return func(r *releasev1.Request) {
		r.Validation.Bake, r.Validation.Interval = durationpb.New(all), durationpb.New(interval)
	}
}

func httpCheck(name, path string) *releasev1.Check {
	return &releasev1.Check{Name: name, Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: path}}}
}

// index is the procedure document.
func (r *rig) index(t *testing.T) *policy.Index {
	t.Helper()
	index, err := policy.NewSource(evidence.New(r.JetStream()).Get).ByDigest(t.Context(), r.digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func (r *rig) history(t *testing.T) (eventstore.History, procedure.State) {
	t.Helper()
	h, err := eventstoretest.Store(r, procedure.ServiceApproval).Load(t.Context(), procedure.Aggregate(r.id))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := procedure.Fold(r.id, h.Entries)
	return h, s
}

func (r *rig) state(t *testing.T) procedure.State {
	t.Helper()
	_, s := r.history(t)
	return s
}

// do appends an event that must count.
func (r *rig) do(t *testing.T, person string, event *releasev1.Event) {
	t.Helper()
	h, s := r.history(t)
	event.ProcedureDigest = r.digest
	if person != "" {
		event.Actor = proceduretest.Person(person)
	}
	writer := procedure.WriterOf(procedure.TypeOf(event))
	if _, err := eventstoretest.Store(r, writer).Append(t.Context(), eventstore.Draft{
		Aggregate: h.Aggregate, Expect: h.Last, Previous: s.Head.Previous(), Event: event,
	}); err != nil {
		t.Fatal(err)
	}
	if after := r.state(t); after.Events != s.Events+1 {
		t.Fatalf("%s does not count in phase %s", procedure.TypeOf(event), s.Phase)
	}
}

// to brings the release to a phase by the good way; the way back begins with a failed
// execution.
func (r *rig) to(t *testing.T, phase procedure.Phase) {
	t.Helper()
	for range 30 {
		s, now := r.state(t), time.Now()
		if s.Phase == phase {
			return
		}
		switch s.Phase {
		case procedure.PhaseNone:
			e := proceduretest.Requested(r.asked, now)
			e.GetRequested().Reverification = r.index(t).Reverification(r.asked)
			r.do(t, "", e)
		case procedure.PhaseGates:
			r.do(t, "", proceduretest.Gates(s))
		case procedure.PhaseScope:
			r.do(t, "", proceduretest.Scope(s))
		case procedure.PhasePreview:
			r.do(t, "", proceduretest.Preview(s, releasev1.DriverClass_DRIVER_CLASS_FENCED, nil, nil))
		case procedure.PhaseRisk:
			r.do(t, "", proceduretest.Risk(s, now, func(f *procedure.RiskFacts) { f.Chosen = r.chosen }))
		case procedure.PhaseApprove:
			if e := proceduretest.Authorize(s, now); e != nil {
				r.do(t, "", e)
				continue
			}
			r.do(t, []string{"anna", "ben"}[len(s.Approvals)], proceduretest.Approval(s, now.Add(time.Hour)))
		case procedure.PhaseNotify:
			r.do(t, "", proceduretest.Notify(s))
		case procedure.PhaseExecute:
			r.do(t, "", proceduretest.Claim(s, "executor-1", now))
		case procedure.PhaseExecuting:
			var failed map[string]releasev1.TargetResult_Status
			if phase == procedure.PhaseVerifyRollback {
				failed = map[string]releasev1.TargetResult_Status{s.WaveTargets()[0]: releasev1.TargetResult_STATUS_FAILED}
			}
			r.do(t, "", proceduretest.Executed(s, failed))
		case procedure.PhaseRemedy:
			r.do(t, "", proceduretest.Remedy(s, "executor-1", now))
		case procedure.PhaseRollingBack:
			r.do(t, "", proceduretest.RolledBack(s, nil))
		default:
			t.Fatalf("in phase %s: %s is not ahead", s.Phase, phase)
		}
	}
}

// step is the step of one validator.
func (r *rig) step() reactor.Step {
	blobs := evidence.New(r.JetStream())
	return verify.New(policy.NewSource(blobs.Get), check.Bake{Probers: map[string]check.Prober{
		"http": httpcheck.Prober{}, "tcp": tcpcheck.Prober{}, "kubernetes_security": r.cluster,
	}}, r.places, blobs, eventstoretest.Store(r, procedure.ServiceValidator))
}

// turn lets a validator look once and stores what it says.
func (r *rig) turn(t *testing.T) (*releasev1.Event, error) {
	t.Helper()
	h, s := r.history(t)
	drafts, err := r.step().Act(t.Context(), reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	stored, err := eventstoretest.Store(r, procedure.ServiceValidator).Append(t.Context(), drafts...)
	if err != nil {
		return nil, err
	}
	return stored[0].Event, nil
}

// verification is what an event of step 6 holds.
func verification(e *releasev1.Event) *releasev1.Verification {
	for _, v := range []*releasev1.Verification{
		e.GetVerificationPassed().GetVerification(), e.GetVerificationFailed().GetVerification(), e.GetVerificationInconclusive().GetVerification(),
	} {
		if v != nil {
			return v
		}
	}
	return nil
}

// results are what the checks came to, by "check target".
func results(v *releasev1.Verification) map[string]*releasev1.CheckResult {
	out := map[string]*releasev1.CheckResult{}
	for _, r := range v.GetResults() {
		out[r.GetCheck()+" "+r.GetTarget()] = r
	}
	return out
}
