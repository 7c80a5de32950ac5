package scope_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
	"github.com/blackdice/shipwarden/services/validator/scope"
)

// document is a procedure document with what the requests of these tests name; rules
// are lines of version_rules.
func document(rules string) string {
	return `id: PROC-DEPLOY-001
version: "1.0"
people:
  - {id: otto, name: Otto}
  - {id: gone, name: Gone, inactive: true}
  - {id: bot, name: Bot, machine: true}
  - {id: rita, name: Rita}
groups:
  - {name: shop-team, members: [otto, gone, bot]}
services:
  - {name: shop, owner_groups: [shop-team]}
targets:
  - {id: eu1, environment: production, services: [shop], driver: host}
  - {id: old1, environment: production, services: [shop], driver: host, retired: true}
  - {id: test1, environment: test, services: [shop], driver: host}
  - {id: mail1, environment: production, services: [mail], driver: host}
  - {id: web1, environment: production, services: [shop], driver: host, dependencies: [mail1]}
` + rules
}

// world is a stream, an artifact folder and the step.
type world struct {
	natstest.Server
	folder string
	digest string
	step   reactor.Step
	// namespaces are the targets that the step knows the namespace of.
	namespaces []string
	// silent are those that it knows to have no way of telling what they run.
	silent []string
	// refuses says which programs it does not run.
	refuses func(*releasev1.CommandProbe) error
}

func newWorld(t *testing.T, document string, registries ...*configv1.Registry) *world {
	t.Helper()
	w := &world{Server: natstest.Single(t), folder: t.TempDir()}
	eventstoretest.Provision(t, w)
	blobs := evidence.New(w.JetStream())
	ref, err := blobs.Put(t.Context(), "application/yaml", "procedure", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	w.digest = ref.GetDigest()
	resolver, err := resolve.New(resolve.Config{Folder: w.folder, Registries: registries})
	if err != nil {
		t.Fatal(err)
	}
	w.pins(resolver)
	return w
}

// pins makes the step find artifacts by that pinner.
func (w *world) pins(p scope.Pinner) {
	w.step = scope.New(policy.NewSource(evidence.New(w.JetStream()).Get), p, eventstoretest.Store(w, procedure.ServiceValidator), scope.Reach{
		Sources: []string{"metrics"}, Logs: []string{"loki"}, Refuses: w.refuses, Namespaces: w.namespaces, Silent: w.silent,
	})
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// place puts a version's artifact into the folder, and makes a request ask for it.
func (w *world) place(t *testing.T, version string) func(*releasev1.Request) {
	t.Helper()
	location := "shop/" + version
	if err := os.MkdirAll(filepath.Join(w.folder, "shop"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.folder, location), []byte(version), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(r *releasev1.Request) {
		r.Version, r.Artifacts[0].Location, r.Artifacts[0].Digest = version, location, digestOf(version)
	}
}

// stands writes down what a target stands at.
func (w *world) stands(t *testing.T, target string, state *releasev1.TargetState) {
	t.Helper()
	store := eventstoretest.Store(w, procedure.ServiceExecutor)
	now, err := standing.ReadTarget(t.Context(), store, target)
	if err == nil {
		_, err = store.Append(t.Context(), now.Draft(&releasev1.Event{ProcedureDigest: w.digest, Data: &releasev1.Event_TargetUnlocked{
			TargetUnlocked: &releasev1.TargetUnlocked{Release: "shop-x", State: state},
		}}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func deployment(version string) *releasev1.Deployment {
	return &releasev1.Deployment{Release: "shop-" + version, Version: version, Digest: digestOf(version), Service: "shop", Time: timestamppb.Now()}
}

// look brings a release to step 2 and lets the step look at it. It returns what was
// found, as "rule subject SEVERITY", and the state after it.
func (w *world) look(t *testing.T, changes ...func(*releasev1.Request)) ([]string, procedure.State, error) {
	t.Helper()
	request := proceduretest.Request(append(changes, proceduretest.Key(fmt.Sprint("k", time.Now().UnixNano())))...)
	id := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	approval := eventstoretest.Store(w, procedure.ServiceApproval)
	load := func() (eventstore.History, procedure.State) {
		h, err := approval.Load(t.Context(), procedure.Aggregate(id))
		if err != nil {
			t.Fatal(err)
		}
		s, rejected := procedure.Fold(id, h.Entries)
		if len(rejected) > 0 {
			t.Fatalf("event does not count: %v", rejected[0].Reason)
		}
		return h, s
	}
	for _, next := range []func(s procedure.State) *releasev1.Event{
		func(procedure.State) *releasev1.Event { return proceduretest.Requested(request, time.Now()) },
		func(s procedure.State) *releasev1.Event { return proceduretest.Gates(s) },
	} {
		h, s := load()
		event := next(s)
		event.ProcedureDigest = w.digest
		if _, err := approval.Append(t.Context(), eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Previous: s.Head.Previous(), Event: event}); err != nil {
			t.Fatal(err)
		}
	}
	h, s := load()
	drafts, err := w.step.Act(t.Context(), reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
	if err != nil {
		return nil, s, err
	}
	if _, err := eventstoretest.Store(w, procedure.ServiceValidator).Append(t.Context(), drafts...); err != nil {
		t.Fatal(err)
	}
	_, s = load()
	var found []string
	for _, f := range s.Findings {
		found = append(found, f.GetRule()+" "+f.GetSubject()+" "+strings.TrimPrefix(f.GetSeverity().String(), "SEVERITY_"))
	}
	return found, s, nil
}

func has(found []string, want string) bool {
	for _, f := range found {
		if f == want {
			return true
		}
	}
	return false
}

// TestTheScopeSaysWhatDependsOnWhat: in which order targets go back is decided with the plan,
// by the document of the release.
func TestTheScopeSaysWhatDependsOnWhat(t *testing.T) {
	w := newWorld(t, strings.Replace(document(""), "{id: mail1, environment: production, services: [mail], driver: host}",
		"{id: mail1, environment: production, services: [mail], driver: host, dependencies: [eu1]}", 1))
	_, s, err := w.look(t, w.place(t, "1.4.2"), proceduretest.Waves([]string{"web1"}, []string{"eu1"}))
	if err != nil || s.Phase != procedure.PhasePreview || s.Scoped("web1").GetDepth() != 1 || s.Scoped("eu1").GetDepth() != 0 {
		t.Errorf("in phase %s: %v, %v", s.Phase, s.Targets, err)
	}
}

func TestAGoodScopeIsPinned(t *testing.T) {
	w := newWorld(t, document(""))
	w.stands(t, "eu1", &releasev1.TargetState{Generation: 4, Deployed: deployment("1.4.1"), Previous: deployment("1.4.0")})
	found, s, err := w.look(t, w.place(t, "1.4.2"))
	if err != nil || s.Phase != procedure.PhasePreview {
		t.Fatalf("in phase %s: %v, %v", s.Phase, found, err)
	}
	if p := s.PrimaryArtifact(); p.GetDigest() != digestOf("1.4.2") || p.GetSize() != 5 {
		t.Errorf("pinned %v", p)
	}
	target := s.Scoped("eu1")
	if target.GetRelation() != releasev1.ScopedTarget_RELATION_UPGRADE || target.GetState().GetGeneration() != 4 ||
		target.GetState().GetDeployed().GetDigest() != digestOf("1.4.1") || target.GetDriver() != "host" {
		t.Errorf("target %v", target)
	}
	for _, want := range []string{"artifact.pinned shop OK", "version eu1 OK", "owner otto OK"} {
		if !has(found, want) {
			t.Errorf("%q is not among %q", want, found)
		}
	}
}

// TestWhatRefusesARelease is bad input 14 to 18, 21 and 22.
func TestWhatRefusesARelease(t *testing.T) {
	w := newWorld(t, document(""))
	good := w.place(t, "1.4.2")
	for _, test := range []struct {
		name   string
		change func(*releasev1.Request)
		want   string
	}{
		{"an artifact that is not there", func(r *releasev1.Request) { r.Artifacts[0].Location = "shop/none" }, "artifact.missing shop BLOCKING"},
		{"an artifact with another digest", func(r *releasev1.Request) { r.Artifacts[0].Digest = digestOf("other") }, "artifact.digest shop BLOCKING"},
		{"an artifact outside the folder", func(r *releasev1.Request) { r.Artifacts[0].Location = "shop/../../etc/passwd" }, "artifact.location shop BLOCKING"},
		{"an unknown target", proceduretest.Waves([]string{"eu7"}), "target.foreign eu7 BLOCKING"},
		{"a retired target", proceduretest.Waves([]string{"old1"}), "target.foreign old1 BLOCKING"},
		{"a target of another environment", proceduretest.Waves([]string{"test1"}), "target.foreign test1 BLOCKING"},
		{"a target of another service", proceduretest.Waves([]string{"mail1"}), "target.foreign mail1 BLOCKING"},
		{"an owner who left", func(r *releasev1.Request) { r.Owner = "gone" }, "owner gone BLOCKING"},
		{"an owner nobody knows", func(r *releasev1.Request) { r.Owner = "nobody" }, "owner nobody BLOCKING"},
		{"an owner who is a machine", func(r *releasev1.Request) { r.Owner = "bot" }, "owner bot BLOCKING"},
		{"an owner of something else", func(r *releasev1.Request) { r.Owner = "rita" }, "owner rita BLOCKING"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, s, err := w.look(t, good, test.change)
			if err != nil || s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !has(found, test.want) {
				t.Errorf("outcome %s, %v: %q is not among %q", s.Outcome, err, test.want, found)
			}
		})
	}
	t.Run("one reason hides no other", func(t *testing.T) {
		found, _, _ := w.look(t, good, func(r *releasev1.Request) {
			r.Owner, r.Artifacts[0].Location = "gone", "shop/none"
			proceduretest.Waves([]string{"eu1", "old1"})(r)
		})
		for _, want := range []string{"artifact.missing shop BLOCKING", "target.foreign old1 BLOCKING", "owner gone BLOCKING", "version eu1 OK"} {
			if !has(found, want) {
				t.Errorf("%q is not among %q", want, found)
			}
		}
	})
}

// TestVersionsThatWereThereBefore goes by the document's rules and by why the
// procedure is used (PD-2.3).
func TestVersionsThatWereThereBefore(t *testing.T) {
	const strict = "version_rules: {live: SEVERITY_BLOCKING, older: SEVERITY_WARNING, rolled_back: SEVERITY_OK}\n"
	const fine = "version_rules: {reused: SEVERITY_WARNING}\n"
	planned := func(*releasev1.Request) {}
	another := func(r *releasev1.Request) {
		r.Artifacts[0].Location, r.Artifacts[0].Digest = "shop/another", digestOf("another")
	}
	for _, test := range []struct {
		name, rules, asked string
		lane               func(*releasev1.Request)
		want               string
		refused            bool
	}{
		{"live already", "", "1.4.1", planned, "version.live eu1 WARNING", false},
		{"live already, where that blocks", strict, "1.4.1", planned, "version.live eu1 BLOCKING", true},
		{"live already, in an emergency", strict, "1.4.1", proceduretest.Emergency, "version.live eu1 WARNING", false},
		{"older", "", "1.4.0", planned, "version.older eu1 BLOCKING", true},
		{"older, where that does not block", strict, "1.4.0", planned, "version.older eu1 WARNING", false},
		{"older, to roll back", "", "1.4.0", proceduretest.Rollback, "version.older eu1 WARNING", false},
		{"older, in an emergency", "", "1.4.0", proceduretest.Emergency, "version.older eu1 WARNING", false},
		{"older by its number and not by its text", "", "1.4.0-rc.10", planned, "version.older eu1 BLOCKING", true},
		{"rolled back before", "", "1.5.0", planned, "version.rolled_back eu1 BLOCKING", true},
		{"rolled back before, where that is fine", strict, "1.5.0", planned, "version.rolled_back eu1 OK", false},
		{"rolled back before, in an emergency", "", "1.5.0", proceduretest.Emergency, "version.rolled_back eu1 WARNING", false},
		{"newer", "", "1.10.0", planned, "version eu1 OK", false},
		{"live as another artifact", "", "1.4.1", another, "version.reused eu1 BLOCKING", true},
		{"live as another artifact, where that does not block", fine, "1.4.1", another, "version.reused eu1 WARNING", false},
		{"live as another artifact, in an emergency", "", "1.4.1", func(r *releasev1.Request) { another(r); proceduretest.Emergency(r) }, "version.reused eu1 WARNING", false},
		{"live as another build", "", "1.4.1+2", planned, "version eu1 OK", false},
		{"rolled back before as another artifact", "", "1.5.0", another, "version.rolled_back eu1 BLOCKING", true},
		{"rolled back before, and hidden behind another one", "", "1.7.0", func(r *releasev1.Request) {
			other := proto.CloneOf(r.GetArtifacts()[0])
			other.Name, other.Location, other.Digest = "shop-1.5", "shop/1.5.0", digestOf("1.5.0")
			r.Artifacts = append(r.Artifacts, other)
		}, "version.rolled_back eu1 BLOCKING", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, document(test.rules))
			w.stands(t, "eu1", &releasev1.TargetState{
				Generation: 4, Deployed: deployment("1.4.1"), RolledBack: []*releasev1.Deployment{deployment("1.6.0"), deployment("1.5.0")},
			})
			for _, there := range []string{"another", "1.5.0"} {
				w.place(t, there)
			}
			found, s, err := w.look(t, w.place(t, test.asked), test.lane)
			if err != nil || (s.Outcome == releasev1.Outcome_OUTCOME_REJECTED) != test.refused || !has(found, test.want) {
				t.Errorf("outcome %s, %v: %q is not among %q", s.Outcome, err, test.want, found)
			}
		})
	}
}

func TestARegistryThatIsDownRefusesNothing(t *testing.T) {
	server := httptest.NewServer(nil)
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	w := newWorld(t, document(""), &configv1.Registry{Host: host, Insecure: true})
	found, s, err := w.look(t, func(r *releasev1.Request) {
		r.Artifacts[0].Kind, r.Artifacts[0].Location = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, host+"/shop/web"
	})
	if !errors.Is(err, resolve.ErrUnreachable) || s.Phase != procedure.PhaseScope {
		t.Errorf("in phase %s: %v, %v", s.Phase, found, err)
	}
}

// TestManyTargetsFitIntoOneEvent: each remembers sixteen versions that were rolled
// back, and all of them together are more than a message may hold.
func TestManyTargetsFitIntoOneEvent(t *testing.T) {
	var targets []string
	text := document("")
	for i := range 32 {
		targets = append(targets, fmt.Sprintf("fleet-%d", i))
		text += fmt.Sprintf("  - {id: fleet-%d, environment: production, services: [shop], driver: host}\n", i)
	}
	w := newWorld(t, text)
	state := &releasev1.TargetState{Generation: 20, Deployed: deployment("1.4.1")}
	for i := range 16 {
		state.RolledBack = append(state.RolledBack, deployment(fmt.Sprintf("1.5.%d", i)))
	}
	for _, target := range targets {
		w.stands(t, target, state)
	}
	found, s, err := w.look(t, w.place(t, "1.4.2"), proceduretest.Waves(targets))
	if err != nil || s.Phase != procedure.PhasePreview {
		t.Errorf("in phase %s: %v, %v", s.Phase, found, err)
	}
}
