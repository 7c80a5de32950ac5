package e2e

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/intake"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/scope"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// TestWhateverIsAcceptedFitsIntoEvents takes the largest requests that intake accepts,
// lets the steps themselves make the largest events of them, and seals each: intake
// and the steps agree on what fits.
func TestWhateverIsAcceptedFitsIntoEvents(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(n int) *releasev1.Request
		// full is the event that decides about the number.
		full string
	}{
		{"many targets", func(n int) *releasev1.Request { return large(n, 1, 1, 1) }, "change_previewed"},
		{"many artifacts", func(n int) *releasev1.Request { return large(n, 16, 1, 1) }, "scope_validated"},
		{"many checks on the targets of a wave", func(n int) *releasev1.Request { return large(4, 1, n, 1) }, "verification_failed"},
		{"many comparisons on the targets of a wave", func(n int) *releasev1.Request { return comparing(large(4, 1, n, 1)) }, "verification_failed"},
		{"many checks on the way back", func(n int) *releasev1.Request { return large(20, 1, 1, n) }, "rollback verification_failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 1
			for len(intake.Room(roomy(test.make(n+1)), test.make(n+1))) == 0 {
				n++
			}
			sizes := map[string]int{}
			for name, event := range largest(t, test.make(n)) {
				sealed, err := envelope.Seal(envelopetest.Signer(event.GetWriter()), event)
				if err != nil {
					t.Errorf("%d fit by intake: %s: %v", n, name, err)
					continue
				}
				sizes[name] = len(sealed.Data)
			}
			if sizes[test.full] < envelope.MaxBody*3/4 {
				t.Errorf("%d are all that is accepted, and leave room in %s: %v", n, test.full, sizes)
			}
			t.Logf("%d: %v", n, sizes)
		})
	}
}

const (
	longID   = 63
	longName = 40
)

// large is a request of the longest names and places.
func large(targets, artifacts, checks, back int) *releasev1.Request {
	word := func(prefix string, i, size int) string { return fmt.Sprintf("%s%0*d", prefix, size-len(prefix), i) }
	r := proceduretest.Request(proceduretest.Emergency, func(r *releasev1.Request) {
		r.Service, r.Environment, r.IdempotencyKey = word("s", 0, longName), word("e", 0, longName), word("k", 0, 64)
		r.Version = "999999999.999999999.999999999-" + strings.Repeat("a", 64) + "+" + strings.Repeat("b", 64)
		r.Artifacts, r.Plan.Waves, r.Validation.Checks = nil, nil, nil
	})
	for i := range artifacts {
		r.Artifacts = append(r.Artifacts, &releasev1.Artifact{
			Name: word("a", i, longName), Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE,
			Location: strings.Repeat("l", 512), Digest: proceduretest.Digest('a'),
		})
	}
	for i := range targets {
		if i%4 == 0 {
			r.Plan.Waves = append(r.Plan.Waves, &releasev1.Wave{})
		}
		w := r.GetPlan().GetWaves()[i/4]
		w.Targets = append(w.Targets, word("t", i, longID))
	}
	named := func(n int) (out []*releasev1.Check) {
		for i := range n {
			out = append(out, &releasev1.Check{
				Name: word("c", i, longName), MinPassRatio: new(math.SmallestNonzeroFloat64), Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}},
			})
		}
		return out
	}
	r.Validation.Checks, r.RollbackPlan.Checks = named(checks), named(back)
	return r
}

// comparing makes all checks of a request compare with a baseline.
func comparing(r *releasev1.Request) *releasev1.Request {
	for _, c := range r.GetValidation().GetChecks() {
		c.Probe = &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{Baseline: &releasev1.MetricBaseline{}}}
	}
	return r
}

// roomy is a procedure document that knows the request's targets and people.
func roomy(r *releasev1.Request) *policy.Index {
	d := &policyv1.Procedure{
		People:   []*policyv1.Person{{Id: r.GetOwner(), Name: strings.Repeat("n", 128)}},
		Groups:   []*policyv1.Group{{Name: "owners", Members: []string{r.GetOwner()}}},
		Services: []*policyv1.Service{{Name: r.GetService(), OwnerGroups: []string{"owners"}}},
	}
	for _, id := range procedure.Targets(r) {
		d.Targets = append(d.Targets, &policyv1.Target{Id: id, Environment: r.GetEnvironment(), Services: []string{r.GetService()}, Driver: "command"})
	}
	return policy.NewIndex(d)
}

// largest are the largest events of a release that grow with its request, by the steps
// themselves where no target is needed, and otherwise by what they cut texts to.
func largest(t *testing.T, r *releasev1.Request) map[string]*releasev1.Event {
	t.Helper()
	s := procedure.State{
		Release: procedure.ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey()), Request: r, Authorized: &releasev1.Authorized{},
		Requested: proceduretest.Requested(r, time.Now()).GetRequested(), Entered: time.Now(), Touched: procedure.Targets(r),
	}
	out := map[string]*releasev1.Event{}
	keep := func(name string, e *releasev1.Event) {
		e = proto.CloneOf(e)
		id, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		e.Id, e.Aggregate, e.Writer = id.String(), procedure.Aggregate(s.Release), procedure.WriterOf(procedure.TypeOf(e))
		e.Time, e.CausationId, e.ProcedureDigest = timestamppb.Now(), id.String(), proceduretest.ProcedureDigest
		e.Previous = &releasev1.Previous{Sequence: math.MaxUint64, Sha256: make([]byte, 32)}
		e.Actor = &releasev1.Actor{Id: strings.Repeat("p", 64), Kind: releasev1.Actor_KIND_SERVICE, Method: "signature"}
		out[name+procedure.TypeOf(e)] = e
	}
	keep("", scoped(t, s))

	line, digest := site.Line(strings.Repeat("x", 1<<16)), proceduretest.Digest('a')
	ref := func(name string) *releasev1.EvidenceRef {
		return &releasev1.EvidenceRef{Digest: digest, MediaType: "text/plain; charset=utf-8", Size: math.MaxInt64, Name: name}
	}
	var previews []*releasev1.TargetPreview
	var drifted []*releasev1.Finding
	for _, id := range procedure.Targets(r) {
		previews = append(previews, &releasev1.TargetPreview{
			Target: id, Summary: line, Detail: ref("preview of " + id), RollbackDigest: digest, RollbackReason: line, RollbackReady: true,
			Class: releasev1.DriverClass_DRIVER_CLASS_OPAQUE,
			Rollback: &releasev1.RollbackProof{
				Possible: true, Source: releasev1.RollbackProof_SOURCE_ORIGIN, Obtainable: true,
				Found: line[:160], Demanded: true,
			},
		})
		drifted = append(drifted, &releasev1.Finding{
			Rule: "target.drift", Severity: releasev1.Finding_SEVERITY_WARNING, Subject: id,
			Message: fmt.Sprintf("it carries %s, and %s by the record: it was changed by hand", digest[:19], digest[:19]),
		})
	}
	keep("", procedure.DecidePreview(previews, drifted))

	results := func(targets []string) []*releasev1.TargetResult {
		all := site.Unknown(targets, line)
		for _, x := range all {
			x.Digest, x.Output, x.Fence = digest, ref("output of "+x.GetTarget()), math.MaxUint64
			x.Started, x.Ended = timestamppb.Now(), timestamppb.Now()
		}
		return all
	}
	keep("", procedure.DecideClaim(s, strings.Repeat("c", 128), digest, time.Now(), time.Now()))
	forth, back := results(s.WaveTargets()), results(s.Touched)
	keep("", procedure.DecideExecuted(s, forth, site.Reason(forth)))
	keep("rollback ", procedure.DecideRolledBack(s, back, site.Reason(back)))
	keep("", &releasev1.Event{Data: &releasev1.Event_TargetsReleased{TargetsReleased: &releasev1.TargetsReleased{Results: back}}})

	keep("", verified(t, r.GetValidation().GetChecks(), s.WaveTargets(), ref("samples of "+s.Release)))
	keep("rollback ", verified(t, r.GetRollbackPlan().GetChecks(), s.Touched, ref("samples of "+s.Release)))
	return out
}

// scoped is step 2 at work on targets that carry long names, newer versions, and had
// this very artifact taken back.
func scoped(t *testing.T, s procedure.State) *releasev1.Event {
	t.Helper()
	drafts, err := scope.New(documentOf{roomy(s.Request)}, asked{}, standings{s.Request}, scope.Reach{}).Act(t.Context(), reactor.Task{
		State: s, History: eventstore.History{Aggregate: procedure.Aggregate(s.Release)}, Now: time.Now(),
		Cause: procedure.Entry{Event: &releasev1.Event{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	event := drafts[0].Event
	if n := len(event.GetScopeValidated().GetFindings()); n != 1+2*len(s.Request.GetArtifacts())+2*len(s.Touched) {
		t.Fatalf("%d findings: %v", n, event)
	}
	return event
}

type documentOf struct{ *policy.Index }

func (d documentOf) ByDigest(context.Context, string) (*policy.Index, error) { return d.Index, nil }

// asked pins every artifact as it was asked for, with as many images as are recorded.
type asked struct{}

func (asked) Pin(_ context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	pinned := &releasev1.PinnedArtifact{
		Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest(), Size: math.MaxInt64,
		MediaType: "application/vnd.docker.distribution.manifest.list.v2+json",
		Tag:       strings.Repeat("t", 128), TagResolved: timestamppb.Now(), Title: strings.Repeat("t", 384),
	}
	for i := range 8 {
		pinned.Platforms = append(pinned.Platforms, &releasev1.PlatformImage{
			Platform: strings.Repeat("p", 40), Digest: proceduretest.Digest("0123456789abcdef"[i]),
		})
	}
	return pinned, nil
}

type standings struct{ request *releasev1.Request }

func (s standings) Last(_ context.Context, aggregate string) (procedure.Entry, bool, error) {
	r := s.request
	if strings.HasPrefix(aggregate, "art.") {
		return procedure.Entry{Sequence: 1, Event: letOut(aggregate, r)}, true, nil
	}
	now := &releasev1.Deployment{
		Release: procedure.ReleaseID(r.GetEnvironment(), r.GetService(), "other"), Digest: proceduretest.Digest('b'),
		Version: strings.Replace(r.GetVersion(), "-a", "-z", 1), Time: timestamppb.Now(), Service: r.GetService(),
	}
	gone := proto.CloneOf(now)
	gone.Digest = r.GetArtifacts()[0].GetDigest()
	return procedure.Entry{Sequence: 1, Event: &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
		State: &releasev1.TargetState{Deployed: now, Previous: now, RolledBack: []*releasev1.Deployment{gone}, Generation: math.MaxUint64},
	}}}}, true, nil
}

// letOut is an artifact that was in quarantine, and that two people let out: it is called
// out, which takes the most room.
func letOut(aggregate string, r *releasev1.Request) *releasev1.Event {
	return &releasev1.Event{
		Aggregate: aggregate, Writer: procedure.WriterOf("quarantine_cleared"), Actor: proceduretest.Person(strings.Repeat("p", 64)),
		Data: &releasev1.Event_QuarantineCleared{QuarantineCleared: &releasev1.QuarantineCleared{State: &releasev1.Quarantine{
			Digest: procedure.ArtifactOf(aggregate),
			Reasons: []*releasev1.QuarantineReason{{
				Release: procedure.ReleaseID(r.GetEnvironment(), r.GetService(), "other"), Service: r.GetService(), Environment: r.GetEnvironment(),
				Version: r.GetVersion(), Requester: "r", Owner: "o", Cause: releasev1.QuarantineReason_CAUSE_ORDERED,
				Reason: strings.Repeat("r", 1024), Time: timestamppb.Now(),
			}},
			Clearance: &releasev1.Clearance{
				ProposedBy: strings.Repeat("q", 64), Reason: strings.Repeat("r", 1024), ConfirmedBy: strings.Repeat("p", 64), Comment: strings.Repeat("c", 1024),
			},
		}}},
	}
}

// verified is step 6 with the longest verdicts: a bake says why it does not know what
// runs, and the checks that nothing is shown nor refuted.
func verified(t *testing.T, checks []*releasev1.Check, targets []string, samples *releasev1.EvidenceRef) *releasev1.Event {
	t.Helper()
	plan := check.Plan{Bake: time.Millisecond, Interval: time.Millisecond, Start: time.Now()}
	for _, id := range targets {
		place, err := target.New(&configv1.TargetAddress{Target: id, TcpAddress: "127.0.0.1:9"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan.Subjects = append(plan.Subjects, check.Subject{Target: place, Digest: proceduretest.Digest('a')})
	}
	report, err := check.Bake{RunningDigest: func(context.Context, *target.Target) (string, error) {
		return "", fmt.Errorf("cannot be asked: %s", strings.Repeat("x", 1024))
	}}.Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	v := report.Verification
	many := make([]check.Sample, 20_000)
	for i := range many {
		many[i].Outcome = check.Outcome(i % 2)
	}
	for _, id := range targets {
		for _, c := range checks {
			c = proto.CloneOf(c)
			c.MinPassRatio = new(0.50000000000000011)
			judged := check.Judge(c, many)
			if judged.GetVerdict() != releasev1.CheckResult_VERDICT_INCONCLUSIVE {
				t.Fatalf("%v", judged)
			}
			if c.GetPrometheus().GetBaseline() != nil {
				judged.Reason += "; " + strings.Repeat("x", 160) + "…" // as much as a detail holds
				judged.Comparison = proceduretest.Digest('a')
			}
			judged.Target = id
			v.Results = append(v.Results, judged)
		}
	}
	v.Samples, v.Chart, v.Number = samples, samples, math.MaxUint32
	return &releasev1.Event{Data: &releasev1.Event_VerificationFailed{VerificationFailed: &releasev1.VerificationFailed{Verification: v}}}
}
