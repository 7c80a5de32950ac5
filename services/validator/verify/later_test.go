package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// lookAgain is a procedure that has releases looked at again.
const lookAgain = "reverify: {every: 1s, during: 60s, look: 600ms, unseen: 2}\n"

// verified brings the release to its very end, with what it left on its targets on record.
func (r *rig) verified(t *testing.T) {
	t.Helper()
	r.to(t, procedure.PhaseVerify)
	if e, err := r.turn(t); err != nil || e.GetVerificationPassed() == nil {
		t.Fatalf("it is not verified: %v, %v", verification(e), err)
	}
	r.do(t, "", proceduretest.Released(r.state(t)))
	for _, id := range r.state(t).Touched {
		r.left(t, id, r.id)
	}
	r.do(t, "", proceduretest.Recorded(r.state(t)))
	for r.state(t).Phase != procedure.PhaseClosed {
		r.do(t, "", proceduretest.Notify(r.state(t)))
	}
}

// left says that a release is what the target carries.
func (r *rig) left(t *testing.T, id, release string) {
	t.Helper()
	r.aside(t, id, &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
		Release: release, State: &releasev1.TargetState{Deployed: &releasev1.Deployment{Release: release, Digest: released, Service: "shop", Time: timestamppb.Now()}},
	}}})
}

// aside appends an event of a target.
func (r *rig) aside(t *testing.T, id string, e *releasev1.Event) {
	t.Helper()
	store := eventstoretest.Store(r, procedure.ServiceExecutor)
	now, err := standing.ReadTarget(t.Context(), store, id)
	if err != nil {
		t.Fatal(err)
	}
	e.ProcedureDigest, e.Actor = r.digest, proceduretest.Service(procedure.ServiceExecutor)
	if _, err := store.Append(t.Context(), now.Draft(e)); err != nil {
		t.Fatal(err)
	}
}

// looker is one validator that looks again.
type looker struct {
	*verify.Later
	rig      *rig
	registry *prometheus.Registry
}

// looker makes one. Blobs keep its samples, the rig's where it is nil; now is its clock.
func (r *rig) looker(t *testing.T, blobs verify.Blobs, now func() time.Time) looker {
	t.Helper()
	kept := evidence.New(r.JetStream())
	if blobs == nil {
		blobs = kept
	}
	if now == nil {
		now = time.Now
	}
	l := looker{rig: r, registry: prometheus.NewRegistry()}
	l.Later = verify.NewLater(policy.NewSource(kept.Get), check.Bake{Probers: map[string]check.Prober{"http": httpcheck.Prober{}, "kubernetes_security": r.cluster}},
		r.places, blobs, eventstoretest.Store(r, procedure.ServiceValidator), l.registry, now)
	return l
}

// due waits until a look at the release is.
func (l looker) due(t *testing.T) time.Time {
	t.Helper()
	var at time.Time
	natstest.Eventually(t, "a look that is due", func() bool {
		var err error
		if at, err = eventstoretest.Store(l.rig, procedure.ServiceValidator).Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _, due := procedure.LookDue(l.rig.state(t), at)
		return due
	})
	return at
}

// sees waits until a look is due and has it done.
func (l looker) sees(t *testing.T, want verify.Seen) {
	t.Helper()
	if got, err := l.Look(t.Context(), l.rig.id, l.due(t)); got != want || (err != nil) != (want == verify.SeenError) {
		t.Errorf("it saw %s, %v; want %s", got, err, want)
	}
}

// seen is how often something was seen, by the metric.
func (l looker) seen(t *testing.T, what verify.Seen) float64 {
	t.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "shipwarden_later_looks_total" && m.GetLabel()[0].GetValue() == string(what) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("nothing counts %s", what)
	return 0
}

func (l looker) revoked(t *testing.T, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(l.registry, strings.NewReader(`
		# HELP shipwarden_verification_revoked 1 while a target carries a release that was verified and failed its checks later.
		# TYPE shipwarden_verification_revoked gauge
		shipwarden_verification_revoked{target="eu1"} `+want+`
	`), "shipwarden_verification_revoked"); err != nil {
		t.Error(err)
	}
}

// TestAReleaseThatFailsLaterIsVerifiedNoMore, with what was seen as evidence, on one node and three;
// that it is well again changes nothing, and another release in its place ends it.
func TestAReleaseThatFailsLaterIsVerifiedNoMore(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, lookAgain, map[string]*place{"eu1": eu1})
	r.verified(t)
	l := r.looker(t, nil, nil)
	l.sees(t, verify.SeenPassed)
	eu1.set("/healthz", true)
	l.sees(t, verify.SeenFailed)
	s := r.state(t)
	if s.Phase != procedure.PhaseFollowUp || s.Later.Looks != 2 || !slices.Equal(procedure.FailedLater(s.Later.Revoked), []string{"health"}) {
		t.Fatalf("in phase %s: %+v", s.Phase, s.Later)
	}
	content, err := evidence.New(r.JetStream()).Get(t.Context(), s.Later.Revoked.GetSamples().GetDigest())
	var document struct {
		Verdict string
		Targets []struct {
			BaseURL string `json:"base_url"`
			Results []struct{ Samples []json.RawMessage }
		}
	}
	if err != nil || json.Unmarshal(content, &document) != nil || document.Verdict != "fail" || len(document.Targets) != 1 || document.Targets[0].BaseURL != eu1.URL {
		t.Errorf("the samples: %v\n%s", err, content)
	}
	again, err := verify.RejudgeLater(r.index(t), before1(t, r), content, s.Later.Revoked)
	if err != nil || !proto.Equal(again.GetVerificationRevoked().GetLook(), s.Later.Revoked) {
		t.Errorf("judged again it is %v, %v; on record is %v", again, err, s.Later.Revoked)
	}
	if err := l.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.revoked(t, "1")

	eu1.set("/healthz", false)
	if got, err := l.Look(t.Context(), r.id, time.Now().Add(10*time.Second)); got != verify.SeenNothing || err != nil {
		t.Errorf("it is looked at again: %s, %v", got, err)
	}
	r.left(t, "eu1", "shop-next")
	if err := l.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.revoked(t, "0")
}

// before1 is the release before its newest event.
func before1(t *testing.T, r *rig) procedure.State {
	t.Helper()
	h, _ := r.history(t)
	s, _ := procedure.Fold(r.id, h.Entries[:len(h.Entries)-1])
	return s
}

// TestWhatCannotBeSeenLaterRevokesNothing, and people are called after so many times.
func TestWhatCannotBeSeenLaterRevokesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, lookAgain, map[string]*place{"eu1": newPlace(t, released)})
	r.verified(t)
	r.look(t, released) // Nobody knows any more where the target is.
	l := r.looker(t, nil, nil)
	l.sees(t, verify.SeenInconclusive)
	if s := r.state(t); s.Later.Unseen != 1 || s.Phase != procedure.PhaseClosed {
		t.Errorf("%+v in phase %s", s.Later, s.Phase)
	}
	l.sees(t, verify.SeenInconclusive)
	if s := r.state(t); !slices.Equal(s.OpenEscalations(), []releasev1.Cause{releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN}) || s.Later.Revoked != nil {
		t.Errorf("%+v, called for %v", s.Later, s.OpenEscalations())
	}
}

// TestOneFailureIsNoiseLater as it is in the bake: the check allows for it.
func TestOneFailureIsNoiseLater(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, lookAgain, map[string]*place{"eu1": eu1}, func(q *releasev1.Request) {
		q.Validation.Checks[0].MinPassRatio = proto.Float64(0.4) // A slow machine sees it twice, at least.
	})
	r.verified(t)
	l := r.looker(t, nil, nil)
	eu1.once("/healthz")
	l.sees(t, verify.SeenPassed)
}

// TestTwoValidatorsSayALookOnce, and one that comes later, after the other was lost, says the next.
func TestTwoValidatorsSayALookOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, lookAgain, map[string]*place{"eu1": newPlace(t, released)})
	r.verified(t)
	one, other := r.looker(t, nil, nil), r.looker(t, nil, nil)
	at := one.due(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[verify.Seen]int{}
	for _, l := range []looker{one, other, one, other} {
		group.Go(func() {
			got, err := l.Look(t.Context(), r.id, at)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got]++
		})
	}
	group.Wait()
	if want := (map[verify.Seen]int{verify.SeenPassed: 1, verify.SeenNothing: 3}); !maps.Equal(seen, want) || r.state(t).Later.Looks != 1 {
		t.Errorf("seen %v, on record %+v", seen, r.state(t).Later)
	}
	r.looker(t, nil, nil).sees(t, verify.SeenPassed)
	if later := r.state(t).Later; later.Looks != 2 || later.Number < 2 {
		t.Errorf("on record %+v", later)
	}
}

// TestATargetThatIsTakenIsNotLookedAtLater: while another release holds it, where one took it while
// it was looked at, and where another one is there.
func TestATargetThatIsTakenIsNotLookedAtLater(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, lookAgain, map[string]*place{"eu1": eu1})
	r.verified(t)
	l := r.looker(t, nil, nil)
	at := l.due(t)
	eu1.whenAsked(func() { r.left(t, "eu1", r.id) })
	if got, err := l.Look(t.Context(), r.id, at); got != verify.SeenBusy || err != nil {
		t.Errorf("it saw %s, %v", got, err)
	}
	eu1.whenAsked(nil)
	r.left(t, "eu1", "shop-next")
	if got, err := l.Look(t.Context(), r.id, at); got != verify.SeenNothing || err != nil || r.state(t).Later.Looks != 0 {
		t.Errorf("it saw %s, %v: %+v", got, err, r.state(t).Later)
	}
}

// full keeps nothing.
type full struct{}

func (full) Put(context.Context, string, string, []byte) (*releasev1.EvidenceRef, error) {
	return nil, evidence.ErrFull
}

// TestAFailureLaterIsToldWithoutRoomForItsSamples, and a pass is not.
func TestAFailureLaterIsToldWithoutRoomForItsSamples(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, lookAgain, map[string]*place{"eu1": eu1})
	r.verified(t)
	l := r.looker(t, full{}, nil)
	l.sees(t, verify.SeenError)
	if later := r.state(t).Later; later.Looks != 0 {
		t.Errorf("a pass is on record without what shows it: %+v", later)
	}
	eu1.set("/healthz", true)
	l.sees(t, verify.SeenFailed)
	if s := r.state(t); s.Later.Revoked == nil || s.UnkeptReason(s.Later.Revoked.GetSamples().GetDigest()) == "" {
		t.Errorf("%+v, not kept is %v", s.Later, s.Unkept)
	}
}

// TestAClockThatIsWrongSaysNothing of what is due: its events would not count.
func TestAClockThatIsWrongSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, lookAgain, map[string]*place{"eu1": newPlace(t, released)})
	r.verified(t)
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		l := r.looker(t, nil, func() time.Time { return time.Now().Add(off) })
		l.due(t)
		if err := l.Round(t.Context()); err == nil || r.state(t).Later.Looks != 0 {
			t.Errorf("off by %s: %v, on record %+v", off, err, r.state(t).Later)
		}
		// People hear of it by an alert, since nothing goes on record.
		if n := l.seen(t, verify.SeenError); n != 1 {
			t.Errorf("off by %s: %g errors", off, n)
		}
	}
	l := r.looker(t, nil, nil)
	l.due(t)
	if err := l.Round(t.Context()); err != nil || r.state(t).Later.Looks != 1 {
		t.Errorf("with a clock that is right: %v, on record %+v", err, r.state(t).Later)
	}
}

// TestTheChecksThatAreNamedAreLookedAtLater, all where the release has none of them, and none that
// compares with what was before it.
func TestTheChecksThatAreNamedAreLookedAtLater(t *testing.T) {
	t.Parallel()
	image := proceduretest.Digest('1')
	controls := func(q *releasev1.Request) {
		q.Artifacts = append(q.Artifacts, &releasev1.Artifact{
			Name: "image", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: "registry.example/shop", Digest: image,
		})
		q.Validation.Checks = append(q.Validation.Checks, &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{
			KubernetesSecurity: &releasev1.KubernetesSecurityProbe{ImageDigests: &releasev1.KubernetesImageControl{}},
		}})
	}
	for named, want := range map[string][]string{
		"login": {"login", "target.digest"}, "unheard-of": {"health", "login", "security.image_digests", "target.digest"},
		"login, security": {"login", "security.image_digests", "target.digest"}, "security": {"security.image_digests", "target.digest"},
	} {
		t.Run(named, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "reverify: {every: 1s, during: 60s, look: 600ms, checks: ["+named+"]}\n"+catalog, map[string]*place{"eu1": newPlace(t, released)}, controls)
			r.cluster = runs(image)
			r.verified(t)
			r.looker(t, nil, nil).sees(t, verify.SeenPassed)
			h, _ := r.history(t)
			content, err := evidence.New(r.JetStream()).Get(t.Context(), h.Entries[len(h.Entries)-1].Event.GetReverified().GetLook().GetSamples().GetDigest())
			var document struct {
				Targets []struct{ Results []struct{ Check string } }
			}
			if err != nil || json.Unmarshal(content, &document) != nil {
				t.Fatal(err)
			}
			var got []string
			for _, result := range document.Targets[0].Results {
				got = append(got, result.Check)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: looked at %v", named, got)
			}
		})
	}
}

// TestALaterLookCostsTheSameHoweverManyReleasesThereWere: the newest event of each target, and the
// history of what it carries.
func TestALaterLookCostsTheSameHoweverManyReleasesThereWere(t *testing.T) {
	t.Parallel()
	// None is due in this test, however long it takes.
	r := newRig(t, "reverify: {every: 1h, during: 24h}\n", map[string]*place{"eu1": newPlace(t, released)})
	r.verified(t)
	counted := func() map[string]int {
		c := &counting{Record: eventstoretest.Store(r, procedure.ServiceValidator), read: map[string]int{}}
		l := verify.NewLater(policy.NewSource(evidence.New(r.JetStream()).Get), check.Bake{}, r.places, evidence.New(r.JetStream()), c, nil, time.Now)
		if err := l.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c.read
	}
	few := counted()
	for range 30 {
		r.left(t, "eu1", "shop-other")
	}
	r.left(t, "eu1", r.id)
	if many := counted(); !maps.Equal(few, many) {
		t.Errorf("read %v, and %v after 30 releases", few, many)
	}
}

// counting counts what is read of the stream.
type counting struct {
	verify.Record
	mu   sync.Mutex
	read map[string]int
}

func (c *counting) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[what]++
}

func (c *counting) Load(ctx context.Context, aggregate string) (eventstore.History, error) {
	c.count("history of " + aggregate)
	return c.Record.Load(ctx, aggregate)
}

func (c *counting) Last(ctx context.Context, aggregate string) (procedure.Entry, bool, error) {
	c.count("newest of " + aggregate)
	return c.Record.Last(ctx, aggregate)
}

// TestALookThatIsCutOffIsTakenAgain: the one who takes it over says it, once.
func TestALookThatIsCutOffIsTakenAgain(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, lookAgain, map[string]*place{"eu1": eu1})
	r.verified(t)
	lost := r.looker(t, nil, nil)
	at := lost.due(t)
	ctx, cancel := context.WithCancel(t.Context())
	eu1.whenAsked(cancel)
	if _, err := lost.Look(ctx, r.id, at); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not cut off: %v", err)
	}
	eu1.whenAsked(nil)
	if got, err := r.looker(t, nil, nil).Look(t.Context(), r.id, at); got != verify.SeenPassed || err != nil || r.state(t).Later.Looks != 1 {
		t.Errorf("it saw %s, %v: %+v", got, err, r.state(t).Later)
	}
}
