package preview_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// demanding is a world whose procedure document demands that the way back is shown.
func demanding(t *testing.T, targets ...sitetest.Target) *sitetest.World {
	t.Helper()
	w := sitetest.New(t, targets...)
	w.Digest = w.Keep(t, sitetest.Document("rollback_readiness:\n  approvals: [{group: security, count: 1}]\n"))
	return w
}

// back is why a release has no way back, by its document; empty where it has one.
func back(t *testing.T, w *sitetest.World, s procedure.State) policy.WayBack {
	t.Helper()
	index, err := policy.NewSource(evidence.New(w.JetStream()).Get).ByDigest(t.Context(), w.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return policy.WayBackOf(index.Document(), s)
}

// TestTheWayBackIsTriedBeforeAnybodyApproves: every driver makes its dry run, and what it
// would place again is looked for where it would be taken from (PD-3.5, N-05).
func TestTheWayBackIsTriedBeforeAnybodyApproves(t *testing.T) {
	w := demanding(t, sitetest.Host("eu1"), sitetest.Noop("eu2"), sitetest.Command("eu3"), sitetest.Noop("eu4"))
	for _, id := range []string{"eu1", "eu2", "eu3"} {
		w.Earlier(t, id, 1)
	}
	s := previewed(t, w, w.Release(t, proceduretest.Waves([]string{"eu1", "eu2", "eu3"})))
	for id, want := range map[string]struct {
		source releasev1.RollbackProof_Source
		found  string
		steps  string
	}{
		"eu1": {releasev1.RollbackProof_SOURCE_TARGET, "on the machine and intact", "switch:"},
		"eu2": {releasev1.RollbackProof_SOURCE_NONE, "nothing is changed", "note that it carries"},
		"eu3": {releasev1.RollbackProof_SOURCE_ORIGIN, "verified at " + sitetest.Location(1), "run:"},
	} {
		p := s.Preview(id)
		r := p.GetRollback()
		if !r.GetDemanded() || !r.GetPossible() || !r.GetObtainable() || r.GetFirst() || r.GetSource() != want.source || !strings.Contains(r.GetFound(), want.found) {
			t.Errorf("target %s: %v", id, r)
		}
		detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
		if err != nil || !strings.Contains(string(detail), want.steps) || !strings.Contains(string(detail), want.found) {
			t.Errorf("target %s: the evidence is %q, %v", id, detail, err)
		}
	}
	if b := back(t, w, s); b != (policy.WayBack{}) {
		t.Errorf("no way back: %+v", b)
	}
	first := previewed(t, w, w.Release(t, proceduretest.Key("first"), proceduretest.Waves([]string{"eu4"})))
	if r := first.Preview("eu4").GetRollback(); !r.GetFirst() || r.GetPossible() || r.GetObtainable() {
		t.Errorf("the first release of eu4: %v", r)
	}
	if len(w.Effects(t, "eu2", s.Release)) != 0 || len(w.Starts(t, "eu3")) != 1 {
		t.Error("a dry run changed something")
	}
}

// TestWhatIsGoneOrChangedIsNoWayBack: the exact proof that failed is what people read, and
// what the document does not demand is called out and no more than that.
func TestWhatIsGoneOrChangedIsNoWayBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		target sitetest.Target
		spoil  func(t *testing.T, w *sitetest.World)
		why    string
		asked  bool // also where the document does not demand the proof
	}{
		{"the artifact was cleaned up", sitetest.Command("eu1"), func(t *testing.T, w *sitetest.World) {
			if err := os.Remove(filepath.Join(w.Artifacts(), sitetest.Location(1))); err != nil {
				t.Fatal(err)
			}
		}, artifact.ErrNotFound.Error(), false},
		{"something else lies in its place", sitetest.Command("eu1"), func(t *testing.T, w *sitetest.World) {
			if err := os.WriteFile(filepath.Join(w.Artifacts(), sitetest.Location(1)), []byte("other"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, artifact.ErrDigest.Error(), false},
		{"nobody knows where it came from", sitetest.Command("eu1"), func(t *testing.T, w *sitetest.World) {
			state := w.Standing(t, "eu1").State
			state.Deployed.Release = "shop-nobody"
			w.Unlock(t, "eu1", "shop-nobody", state)
		}, "does not say where from", false},
		{"the release folder was tidied away", sitetest.Host("eu1"), func(t *testing.T, w *sitetest.World) {
			hex := strings.TrimPrefix(sitetest.DigestOf(1), "sha256:")
			if err := os.RemoveAll(filepath.Join(w.Targets[0].GetHost().GetFolder(), "releases", hex)); err != nil {
				t.Fatal(err)
			}
		}, "not on the machine any more", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := demanding(t, test.target)
			w.Earlier(t, "eu1", 1)
			test.spoil(t, w)
			s := previewed(t, w, w.Release(t))
			if b := back(t, w, s); !strings.Contains(b.Why, test.why) || !b.Plan || !b.Approvals {
				t.Errorf("in phase %s: %+v; %v", s.Phase, b, s.Preview("eu1"))
			}
			w.Digest = w.Keep(t, sitetest.Document(""))
			s = previewed(t, w, w.Release(t, proceduretest.Key("as-before")))
			if b := back(t, w, s); (b.Why != "") != test.asked || s.Preview("eu1").GetRollback().GetObtainable() {
				t.Errorf("without demanding it: %+v; %v", b, s.Preview("eu1"))
			}
		})
	}
}

// TestARegistryThatHasTheImageNoMoreIsNoWayBack: the manifest and every layer have to be
// there; and a registry that cannot be asked says nothing, so that the step waits for it.
func TestARegistryThatHasTheImageNoMoreIsNoWayBack(t *testing.T) {
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	down, missing := false, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case missing != "" && strings.Contains(r.URL.Path, missing):
			w.WriteHeader(http.StatusNotFound)
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	repository, err := name.NewRepository(host+"/shop/web", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := layers[0].Digest()
	if err := errors.Join(err, remote.Write(repository.Tag("1.0.0"), image)); err != nil {
		t.Fatal(err)
	}

	w := demanding(t, sitetest.Command("eu1"))
	w.Earlier(t, "eu1", 1, func(r *releasev1.Request) {
		r.Artifacts[0].Kind, r.Artifacts[0].Location, r.Artifacts[0].Digest = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, host+"/shop/web", digest.String()
	})
	e := w.Executor(t, "one", nil)
	if e.Fetcher, err = artifact.NewFetcher(w.Artifacts(), []*configv1.Registry{{Host: host, Insecure: true}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ missing, why string }{
		{"", ""}, {"/manifests/", artifact.ErrNotFound.Error()}, {"/blobs/" + layer.String(), artifact.ErrNotFound.Error()},
	} {
		missing = test.missing
		r := w.Release(t, proceduretest.Key("without"+strings.NewReplacer("/", "-", ":", "-").Replace(test.missing)[:min(8, len(test.missing))]))
		r.To(t, procedure.PhasePreview)
		if _, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
		s := r.State(t)
		if b := back(t, w, s); (b.Why == "") != (test.why == "") || !strings.Contains(b.Why, test.why) {
			t.Errorf("without %q: %+v; %v", test.missing, b, s.Preview("eu1"))
		}
	}
	down = true
	r := w.Release(t, proceduretest.Key("down"))
	r.To(t, procedure.PhasePreview)
	if events, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); !errors.Is(err, artifact.ErrUnavailable) || events != nil {
		t.Errorf("the registry cannot be asked: %v, %v", events, err)
	}
}
