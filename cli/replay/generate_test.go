package replay_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/risk"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/view"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// kept is what is stored by digest.
type kept map[string][]byte

func (k kept) Put(_ context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	k[digest] = content
	return &releasev1.EvidenceRef{Digest: digest, MediaType: mediaType, Size: int64(len(content)), Name: name}, nil
}

func (k kept) Get(_ context.Context, digest string) ([]byte, error) {
	content, there := k[digest]
	if !there {
		return nil, replay.ErrMissing
	}
	return content, nil
}

func (k kept) put(content []byte) *releasev1.EvidenceRef {
	ref, _ := k.Put(context.Background(), "application/json", "evidence", content)
	return ref
}

// world is what all generated releases share: a document with a gate for keys, a rule,
// and one for certificates, and a bundle.
type world struct {
	kept       kept
	procedures *policy.Source
	digest     string
	index      *policy.Index
	bundle     []byte
	// system keeps change records, which connectors look up; nil where there is none.
	system     *changerecordtest.System
	connectors changerecord.Connectors
}

const (
	workflow = "https://git.example/shop/.github/workflows/release.yaml@refs/heads/main"
	issuer   = "https://token.example"
	built    = "https://slsa.dev/provenance/v1"
)

func newWorld(t *testing.T, changes ...func(*policyv1.Procedure)) *world {
	t.Helper()
	instance := sigstoretest.New(t)
	w := &world{kept: kept{}}
	root := w.kept.put(instance.Root(t))
	w.bundle = instance.Sign(t, workflow, issuer, fmt.Sprintf(
		`{"_type":%q,"predicateType":%q,"subject":[{"name":"shop","digest":{"sha256":%q}}],"predicate":{}}`,
		attest.StatementType, built, proceduretest.Digest('a')[7:]))
	data, err := protojson.Marshal(approvaltest.Document(func(d *policyv1.Procedure) {
		d.Gates[0].EvidenceWithin = durationpb.New(20 * time.Minute)
		d.Gates[0].MaxAge, d.Gates[0].Waivable = durationpb.New(time.Hour), &policyv1.Waivable{Max: durationpb.New(24 * time.Hour)}
		d.Keys = append(d.Keys, &policyv1.Key{Id: "desk", Ed25519: approvaltest.PublicKey("desk"), Waives: []string{"tests"}})
		d.Gates[0].Rules = []*policyv1.Rule{{
			Name: "enough", Expression: "attestation.predicate.tests >= 10.0 || request.version.endsWith('0')", Message: "too few tests",
		}}
		d.Gates = append(d.Gates, &policyv1.Gate{Name: "provenance", Title: "Built by us", PredicateType: built, Areas: []string{"authentication"}})
		d.Sigstore = &policyv1.Sigstore{TrustedRoot: root.GetDigest(), Identities: []*policyv1.Identity{{
			Id: "workflow", Issuer: issuer, Name: &policyv1.Identity_Subject{Subject: workflow}, Gates: []string{"provenance"},
		}}}
		d.Referrers = true
		d.Freezes = []*policyv1.Freeze{{
			Name: "lunch", SetBy: "gina", Reason: "everybody is out", Bypassable: true, When: &policyv1.Freeze_Weekly{Weekly: &policyv1.Weekly{
				FromDay: policyv1.Weekly_DAY_MONDAY, FromTime: "12:00", ToDay: policyv1.Weekly_DAY_MONDAY, ToTime: "13:00", TimeZone: "Europe/Berlin",
			}},
		}}
		for _, change := range changes {
			change(d)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(data, "document"); err != nil {
		t.Fatal(err)
	}
	w.digest = w.kept.put(data).GetDigest()
	w.procedures = policy.NewSource(w.kept.Get)
	if w.index, err = w.procedures.ByDigest(t.Context(), w.digest); err != nil {
		t.Fatal(err)
	}
	return w
}

// generator writes the history of one release as the services write it: what they judge
// is judged by their own steps, from evidence and samples that are kept.
type generator struct {
	*world
	*proceduretest.History
	t        *testing.T
	rand     *rand.Rand
	messages []*recorderv1.RecordedEvent
	recorded []view.Recorded
	ref      []*releasev1.EvidenceRef
	// lie changes an event after it was decided on, before it is signed; may be nil.
	lie func(*releasev1.Event)
	// forced claims also what its evidence forbids.
	forced bool
	// old leaves out what events did not say once.
	old bool
	// before is of before ways back had records.
	before bool
	// unbound judges gates as it was done before a waiver had to say where it counts, with
	// waivers that do not.
	unbound bool
	// stamped judges gates as it was done when evidence of every type was dated by its
	// timestamp, with evidence that is dated otherwise today.
	stamped bool
	// older has evidence in statements of in-toto v0.1, and onlyV1 judges it as it was done when
	// those counted for nothing.
	older, onlyV1 bool
	// raise lets the bake be raised.
	raise bool
	// blind judges the gates of emergencies while what came with the request cannot be read.
	blind bool
}

// release generates the release with that number to its end.
func (w *world) release(t *testing.T, seed uint64, changes ...func(*generator)) *generator {
	t.Helper()
	g := &generator{world: w, t: t, rand: rand.New(rand.NewPCG(seed, 1)), before: seed%4 == 0}
	request := []func(*releasev1.Request){proceduretest.Key(fmt.Sprint("seed-", seed))}
	for _, c := range []func(*releasev1.Request){
		proceduretest.Emergency, proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"}),
		func(r *releasev1.Request) { r.Risk.Areas = []string{"authentication"} },
		func(r *releasev1.Request) { r.Version = "2.0.0" },
		func(r *releasev1.Request) { r.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE },
		func(r *releasev1.Request) {
			proceduretest.Irreversible(r)
			r.RollbackPlan.Recovery = "Restore last night's backup."
		},
	} {
		if g.rand.IntN(3) == 0 {
			request = append(request, c)
		}
	}
	for _, change := range changes {
		change(g)
	}
	asked := proceduretest.Request(request...)
	asked.Validation.Bake, asked.Validation.Interval = durationpb.New(3*time.Second), durationpb.New(time.Second)
	asked.Validation.MayRaise = g.raise
	stream := proceduretest.NewStream()
	stream.Now = stream.Now.Add(time.Duration(g.rand.Int64N(int64(4*time.Hour)) + 1))
	asked.Evidence = g.envelopes(asked, stream.Now)
	g.History = stream.New(asked)
	g.track()
	g.run()
	return g
}

// envelopes is evidence: mostly good, at times too old, of too few tests, of nobody that
// counts, or none.
func (g *generator) envelopes(request *releasev1.Request, at time.Time) (out [][]byte) {
	predicate := map[string]any{"result": "PASSED", "tests": 8 + g.rand.IntN(12), "timestamp": at.Add(-time.Duration(g.rand.Int64N(int64(70 * time.Minute)))).Format(time.RFC3339)}
	key := []string{"ci", "ci", "ci", "ci", "ci", "billing-ci"}[g.rand.IntN(6)]
	signed, err := attest.Sign(attest.Statement{
		PredicateType: approvaltest.TestType, Predicate: predicate,
		Subjects: []attest.Subject{{Name: "shop", Digest: request.GetArtifacts()[0].GetDigest()}},
	}, key, approvaltest.Key(key))
	if err != nil {
		g.t.Fatal(err)
	}
	if g.rand.IntN(12) > 0 {
		out = append(out, signed)
	}
	if g.rand.IntN(8) == 0 {
		waiver, err := attest.Sign(attest.Statement{
			PredicateType: attest.WaiverType, Subjects: []attest.Subject{{Name: "shop", Digest: request.GetArtifacts()[0].GetDigest()}},
			Predicate: map[string]any{
				"gate": "tests", "environment": request.GetEnvironment(), "owner": []string{"gina", "ada", "dan"}[g.rand.IntN(3)], "reason": "the suite is being moved",
				"issued": at.Format(time.RFC3339), "expires": at.Add(20 * time.Hour).Format(time.RFC3339),
			},
		}, "desk", approvaltest.Key("desk"))
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, waiver)
	}
	if len(request.GetRisk().GetAreas()) > 0 && g.rand.IntN(12) > 0 {
		out = append(out, g.bundle)
	}
	if g.unbound {
		out = g.unboundWaiver(request, at)
	}
	if g.stamped {
		out = g.stampedResult(request, at)
	}
	if g.older {
		out = g.olderResult(request, at)
	}
	for _, content := range out {
		g.ref = append(g.ref, g.kept.put(content))
	}
	return out
}

// Find is a registry that has proof beside the image, or something else, or too much.
func (g *generator) Find(context.Context, *releasev1.Artifact, []string) ([][]byte, error) {
	switch g.rand.IntN(4) {
	case 0:
		return nil, fmt.Errorf("%w: in this test", referrers.ErrBounds)
	case 1:
		return [][]byte{[]byte("no statement")}, nil
	}
	signed, err := attest.Sign(attest.Statement{
		PredicateType: approvaltest.TestType, Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
		Predicate: map[string]any{"result": "PASSED", "tests": 20, "timestamp": g.Now.Format(time.RFC3339)},
	}, "ci", approvaltest.Key("ci"))
	return [][]byte{signed}, err
}

func (g *generator) run() {
	for range 120 {
		if g.rand.IntN(15) == 0 && len(g.messages) > 0 {
			g.again(g.messages[g.rand.IntN(len(g.messages))])
		}
		person, event := g.next()
		if event == nil {
			return
		}
		g.do(person, event)
	}
	g.t.Fatalf("release %s in phase %s has no end", g.Release, g.State().Phase)
}

// next is what happens next, and by whom.
func (g *generator) next() (person string, event *releasev1.Event) {
	s, now := g.State(), g.Now.Add(g.Pace-time.Duration(g.rand.Int64N(int64(time.Second))))
	decided := func(e *releasev1.Event) *releasev1.Event {
		if e != nil && !g.old {
			e.Decided = timestamppb.New(now)
		}
		return e
	}
	switch s.Phase {
	case procedure.PhaseNone:
		person, event = g.Good()
		x := event.GetRequested()
		d := g.index.Document().GetDeadlines()
		x.Evidence, x.StartBy = g.ref, timestamppb.New(now.Add(d.GetStartWithin().AsDuration()))
		x.Timeouts = &releasev1.Timeouts{Step: d.GetStep(), Execute: d.GetExecute(), Verify: d.GetVerify(), Decision: d.GetDecision()}
		x.Reverification, x.ReasonsDemanded, x.ClosingDemanded = g.index.Reverification(g.Asked), !g.before, !g.before
		return person, decided(event)
	case procedure.PhaseGates:
		if g.unbound {
			return "", decided(g.judgedAs(verdict.Trust{Unbound: true}, now))
		}
		if g.stamped {
			return "", decided(g.judgedAs(verdict.Trust{Stamped: true}, now))
		}
		if g.onlyV1 {
			return "", decided(g.judgedAs(verdict.Trust{OnlyV1: true}, now))
		}
		if len(g.index.Document().GetChangeRecords()) > 0 && g.connectors == nil {
			return "", decided(g.act(gates.Dry(g.procedures, g.kept, gates.Outside{}, gates.Saw{}), now)) // nobody is there to ask
		}
		if g.blind && s.Emergency() {
			g.Advance(time.Minute)
			now = now.Add(time.Minute)
			return "", decided(g.act(gates.New(g.procedures, unreadable{g.kept}, g.connectors, g), now))
		}
		return "", decided(g.act(gates.New(g.procedures, g.kept, g.connectors, g), now))
	case procedure.PhaseRisk:
		var seen risk.Seen
		if len(g.messages) < 20 && g.rand.IntN(4) == 0 {
			seen.Holds = append(seen.Holds, &releasev1.HoldReason{Rule: procedure.HoldTargetBusy, Subject: "shop-other", Message: "busy"})
		}
		seen.Answers, seen.Findings = g.sources(), g.used()
		e, err := risk.Judge(g.index, s, seen, now)
		if err != nil {
			g.t.Fatal(err)
		}
		return "", decided(e)
	case procedure.PhaseApprove:
		if e := g.act(authorize.New(g.procedures), now); e != nil {
			return "", decided(e)
		}
		approvers := []string{"anna", "ben", "alan", "eve", "cleo", "dan"}
		if g.standsIn(now) {
			approvers = append([]string{"finn"}, approvers...)
		}
		for _, p := range approvers {
			if p == "finn" || procedure.MayApprove(s, g.person(p), s.ChangeDigest, now) == nil {
				shown, err := authorize.Shown(g.index, s)
				if err != nil {
					g.t.Fatal(err)
				}
				return p, decided(g.consent(p, g.kept.put(shown).GetDigest(), now))
			}
		}
		return "otto", proceduretest.Withdraw()
	case procedure.PhaseExecute:
		event, now = g.claim(now)
		return "", decided(event)
	case procedure.PhaseVerify, procedure.PhaseVerifyRollback:
		return "", decided(g.act(g.verify(), now))
	case procedure.PhaseEscalated:
		return "gina", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT)
	case procedure.PhaseHeld:
		if s.HeldFor == procedure.PhaseGates && g.rand.IntN(2) == 0 && len(s.LateEvidence) < 3 {
			ref := g.kept.put(fmt.Appendf(nil, "no statement %d of %s", len(s.LateEvidence), g.Release))
			return "", &releasev1.Event{Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: &releasev1.EvidenceAdded{Evidence: []*releasev1.EvidenceRef{ref}}}}
		}
		if e := g.overrides(); e != nil {
			return "gina", e
		}
		if waits := s.AwaitedTargets(); len(waits) > 0 && g.rand.IntN(2) == 0 {
			return "", decided(procedure.DecideFreed(s, procedure.Freed{Release: "shop-other", Sequence: s.Freed.Sequence + 1}, waits))
		}
		g.Advance(s.HeldUntil.Sub(g.Now))
		now = s.HeldUntil
		return "", decided(procedure.DecideDeadline(s, now))
	case procedure.PhaseClosed:
		if every := s.Requested.GetReverification().GetEvery().AsDuration(); every > 0 && s.Later.Looks < 4 {
			g.Advance(every)
			return "", decided(g.later(g.Now.Add(g.Pace)))
		}
		return "", nil
	case procedure.PhaseRecord:
		digest, err := record.Digest(g.Release, g.recorded, s.Head.Sequence)
		if err != nil {
			g.t.Fatal(err)
		}
		if g.before {
			return "", procedure.DecideRecorded(s, digest)
		}
		back, err := record.RollbackDigests(g.Release, g.recorded, s)
		if err != nil {
			g.t.Fatal(err)
		}
		return "", procedure.DecideRecorded(s, digest, back...)
	default:
		return g.Good()
	}
}

func (g *generator) act(step reactor.Step, now time.Time) *releasev1.Event {
	drafts, err := step.Act(g.t.Context(), reactor.Task{State: g.State(), History: eventstore.History{Aggregate: procedure.Aggregate(g.Release)}, Now: now})
	if err != nil {
		g.t.Fatal(err)
	}
	if len(drafts) == 0 {
		return nil
	}
	return drafts[0].Event
}

// person is who decides, with the groups that the document has them in.
func (g *generator) person(id string) *releasev1.Actor {
	return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: g.index.GroupsOf(id)}
}

// do signs an event, stores it, and records it.
func (g *generator) do(person string, event *releasev1.Event) {
	var actor *releasev1.Actor
	if person != "" {
		actor = g.person(person)
	}
	g.Advance(g.Pace)
	event.ProcedureDigest = g.digest
	if g.old {
		event.Decided = nil
	}
	event.Actor = actor
	if g.lie != nil {
		g.lie(event)
	}
	entry := g.Next(actor, event)
	sealed, err := envelope.Seal(envelopetest.Signer(entry.Event.GetWriter()), entry.Event)
	if err != nil {
		g.t.Fatal(err)
	}
	rejected := ""
	if err := g.Store(entry); err != nil {
		rejected = err.Error()
	}
	_, signature := signatureOf(sealed.Header.Get(envelope.SignatureHeader))
	m := &recorderv1.RecordedEvent{
		Sequence: entry.Sequence, Subject: sealed.Subject, Stored: timestamppb.New(entry.Stored), Digest: fmt.Sprintf("sha256:%x", entry.Digest),
		SignedBy: envelopetest.KeyID(entry.Event.GetWriter()), Event: entry.Event, Rejected: rejected, Body: sealed.Data, Signature: signature,
	}
	g.record(m, entry)
	if rejected != "" && g.lie == nil {
		g.t.Fatalf("release %s: %s does not count: %s", g.Release, procedure.TypeOf(event), rejected)
	}
}

// again stores a copy of a message, which does not count.
func (g *generator) again(m *recorderv1.RecordedEvent) {
	c := proto.CloneOf(m)
	c.Sequence, c.Stored, c.Rejected = g.Last+1, timestamppb.New(g.Now), procedure.ErrNotHead.Error()
	entry := procedure.Entry{Sequence: c.GetSequence(), Digest: sha256.Sum256(c.GetBody()), Stored: g.Now, Event: c.GetEvent()}
	if err := g.Store(entry); err == nil {
		g.t.Fatal("a copy counts")
	}
	g.record(c, entry)
}

func (g *generator) record(m *recorderv1.RecordedEvent, e procedure.Entry) {
	g.messages = append(g.messages, m)
	g.recorded = append(g.recorded, view.Recorded{Entry: e, Subject: m.GetSubject(), SignedBy: m.GetSignedBy(), Rejected: m.GetRejected()})
}

// later is a look at the release after it was verified; nil where none is due.
func (g *generator) later(now time.Time) *releasev1.Event {
	s := g.State()
	number, due, is := procedure.LookDue(s, now)
	if !is {
		return nil
	}
	bake, targets := g.bake()
	r := s.Request
	plan := check.Plan{
		Release: check.Release{Service: r.GetService(), Environment: r.GetEnvironment()}, Bake: time.Minute, Interval: 10 * time.Second,
		Checks: criterion.Each(criterion.Looked(r, g.index.Service(r.GetService()).GetChecks(), false)),
	}
	look := procedure.NewLook(number, due, nil)
	for _, id := range s.Touched {
		if targets[id] != nil {
			plan.Subjects, look.Targets = append(plan.Subjects, check.Subject{Target: targets[id], Digest: s.PrimaryArtifact().GetDigest()}), append(look.Targets, id)
		}
	}
	if len(plan.Subjects) == 0 {
		return nil
	}
	report, err := bake.Run(g.t.Context(), plan)
	if err != nil {
		g.t.Fatal(err)
	}
	look.Started, look.Ended = report.Verification.GetStarted(), report.Verification.GetEnded()
	if look.Samples, err = g.kept.Put(g.t.Context(), check.MediaType, "samples", report.Document); err != nil {
		g.t.Fatal(err)
	}
	return procedure.DecideLaterLook(look, report.Verification)
}

// verify is step 6.
func (g *generator) verify() reactor.Step {
	bake, targets := g.bake()
	return verify.New(g.procedures, bake, targets, g.kept, nil)
}

// bake looks at targets that answer by chance, by a clock that does not wait.
func (g *generator) bake() (check.Bake, map[string]*target.Target) {
	targets := map[string]*target.Target{}
	for _, id := range []string{"eu1", "us1", "us2"} {
		if g.rand.IntN(25) == 0 {
			continue // not configured
		}
		place, err := target.New(&configv1.TargetAddress{Target: id, BaseUrl: "http://127.0.0.1:9", DigestPath: "/digest"}, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		targets[id] = place
	}
	dice := &dice{rand: g.rand}
	want := g.State().PrimaryArtifact().GetDigest()
	if g.State().Phase == procedure.PhaseVerifyRollback {
		want = proceduretest.Digest('b')
	}
	return check.Bake{
		Probers: map[string]check.Prober{"http": dice}, Clock: &clock{now: g.Now},
		RunningDigest: func(context.Context, *target.Target) (string, error) {
			switch dice.roll(40) {
			case 0:
				return "", target.ErrNoAnswer
			case 1:
				return proceduretest.Digest('c'), nil
			}
			return want, nil
		},
	}, targets
}

// dice are targets that mostly answer as they should.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *dice) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return []check.Observation{{Outcome: check.Error, Detail: "no answer"}, {Outcome: check.Failed, Detail: "status 500"}, {Outcome: check.Passed, Detail: "status 200"}}[min(d.roll(60), 2)]
}

// clock is a clock on which waiting takes no time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Timer(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	fired := make(chan time.Time, 1)
	fired <- c.now
	return fired, func() {}
}
