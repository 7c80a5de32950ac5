package gates_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/referrers/referrerstest"
)

const dsse = "application/vnd.dsse.envelope.v1+json"

// harbor is a registry that can be down, and what asks it.
type harbor struct {
	location string
	down     atomic.Bool
	asked    atomic.Int32
	finder   *referrers.Finder
	server   *httptest.Server
}

func newHarbor(t *testing.T) *harbor {
	t.Helper()
	h := &harbor{}
	next := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)), registry.WithReferrersSupport(true))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.asked.Add(1); h.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.server = server
	host := strings.TrimPrefix(server.URL, "http://")
	h.location = host + "/shop/web"
	var err error
	if h.finder, err = referrers.New([]*configv1.Registry{{Host: host, Insecure: true}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.finder.Close)
	return h
}

// image pushes an image with statements beside it, and returns what makes it the artifact
// of a request.
func (h *harbor) image(t *testing.T, statements func(digest string) [][]byte) func(*releasev1.Request) {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(h.location, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Digest(digest.String()), img); err != nil {
		t.Fatal(err)
	}
	size, _ := img.Size()
	media, _ := img.MediaType()
	for _, s := range statements(digest.String()) {
		referrerstest.Attach(t, h.location, &v1.Descriptor{Digest: digest, Size: size, MediaType: media}, dsse, s)
	}
	http.DefaultTransport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	remote.DefaultTransport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	return func(r *releasev1.Request) {
		a := r.GetArtifacts()[0]
		a.Kind, a.Location, a.Digest = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, h.location, digest.String()
	}
}

func found(s procedure.State, r *approvaltest.Rig, t *testing.T, release string) (refs []*releasev1.EvidenceRef, unseen []*releasev1.UnseenEvidence) {
	t.Helper()
	for _, e := range r.Task(t, release, time.Time{}).History.Entries {
		c, d := e.Event.GetGatesConfirmed(), e.Event.GetGatesRefused()
		refs = append(append(refs, c.GetFound()...), d.GetFound()...)
		unseen = append(append(unseen, c.GetUnseen()...), d.GetUnseen()...)
	}
	return refs, unseen
}

// TestStatementsBesideAnImageAreJudgedLikeThoseOfTheRequest, and are kept.
func TestStatementsBesideAnImageAreJudgedLikeThoseOfTheRequest(t *testing.T) {
	h := newHarbor(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Referrers = true }))
	proof := func(key, result string) func(string) [][]byte {
		return func(digest string) [][]byte { return [][]byte{tests(t, key, result, digest)} }
	}
	for _, c := range []struct {
		name   string
		beside func(string) [][]byte
		status releasev1.GateVerdict_Status
		reason string
		found  int
	}{
		{"proved", proof("ci", "PASSED"), releasev1.GateVerdict_STATUS_PASSED, "proved for shop", 1},
		{"of-nobody", proof("billing-ci", "PASSED"), releasev1.GateVerdict_STATUS_FAILED, "not trusted", 1},
		{"failed", proof("ci", "FAILED"), releasev1.GateVerdict_STATUS_FAILED, "FAILED", 1},
		{"nothing", func(string) [][]byte { return nil }, releasev1.GateVerdict_STATUS_FAILED, "there is no evidence", 0},
		{"too-much", func(string) [][]byte { return [][]byte{[]byte(strings.Repeat("x", referrers.MaxSize+1))} }, releasev1.GateVerdict_STATUS_FAILED, "more than is taken in", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := request(t, r, c.name, nil, h.image(t, c.beside))
			s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, h.finder), release, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			v, refs := s.Gates[0], func() []*releasev1.EvidenceRef { refs, _ := found(s, r, t, release); return refs }()
			if v.GetStatus() != c.status || !strings.Contains(v.GetReason(), c.reason) || len(refs) != c.found {
				t.Errorf("%v, found %v", v, refs)
			}
			for _, ref := range refs {
				if content, err := r.Evidence.Get(t.Context(), ref.GetDigest()); err != nil || evidence.Digest(content) != ref.GetDigest() {
					t.Errorf("%v: %v", ref, err)
				}
			}
		})
	}
	t.Run("the same that came with the request", func(t *testing.T) {
		var same []byte
		image := h.image(t, func(digest string) [][]byte { same = tests(t, "ci", "PASSED", digest); return [][]byte{same} })
		release := request(t, r, "both", same, image)
		s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, h.finder), release, time.Now())
		if refs, _ := found(s, r, t, release); err != nil || s.Phase != procedure.PhaseScope || len(refs) != 0 {
			t.Errorf("phase %s, found %v, %v", s.Phase, refs, err)
		}
	})
}

// TestStatementsBesideAChartAreJudgedLikeThoseOfTheRequest, wherever its registry has them:
// as referrers, or under cosign's tag. Only who is trusted counts. Beside a chart that is a
// file nothing is looked for.
func TestStatementsBesideAChartAreJudgedLikeThoseOfTheRequest(t *testing.T) {
	h := newHarbor(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Referrers = true
		d.Targets[0].Kinds = append(d.Targets[0].Kinds, releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART)
	}))
	for i, c := range []struct {
		name, key string
		put       func(at string, chart *v1.Descriptor, statement []byte)
		status    releasev1.GateVerdict_Status
		found     int
	}{
		{"referrer", "ci", func(at string, chart *v1.Descriptor, s []byte) { referrerstest.Attach(t, at, chart, dsse, s) }, releasev1.GateVerdict_STATUS_PASSED, 1},
		{"tag", "ci", func(at string, chart *v1.Descriptor, s []byte) {
			referrerstest.Tag(t, at, chart.Digest.String(), referrerstest.Layer{MediaType: dsse, Content: s})
		}, releasev1.GateVerdict_STATUS_PASSED, 1},
		{"tag-of-nobody", "billing-ci", func(at string, chart *v1.Descriptor, s []byte) {
			referrerstest.Tag(t, at, chart.Digest.String(), referrerstest.Layer{MediaType: dsse, Content: s})
		}, releasev1.GateVerdict_STATUS_FAILED, 1},
		{"nothing", "ci", func(string, *v1.Descriptor, []byte) {}, releasev1.GateVerdict_STATUS_FAILED, 0},
	} {
		at := strings.TrimSuffix(h.location, "/web") + "/charts/shop"
		chart := referrerstest.Chart(t, at, fmt.Append(nil, "archive ", i))
		c.put(at, chart, tests(t, c.key, "PASSED", chart.Digest.String()))
		release := request(t, r, c.name, nil, func(q *releasev1.Request) {
			a := q.GetArtifacts()[0]
			a.Kind, a.Location, a.Digest = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, at+":1.0.0", chart.Digest.String()
		})
		s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, h.finder), release, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		refs, unseen := found(s, r, t, release)
		if s.Gates[0].GetStatus() != c.status || len(refs) != c.found || len(unseen) != 0 {
			t.Errorf("%s: %v, found %v, unseen %v", c.name, s.Gates[0], refs, unseen)
		}
	}
	before := h.asked.Load()
	release := request(t, r, "file", nil, func(q *releasev1.Request) {
		a := q.GetArtifacts()[0]
		a.Kind, a.Location = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, "shop-1.0.0.tgz"
	})
	s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, h.finder), release, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, unseen := found(s, r, t, release); h.asked.Load() != before || len(unseen) != 0 {
		t.Errorf("a chart that is a file: %v, unseen %v", s.Gates, unseen)
	}
}

// TestARegistryThatIsDownIsAskedAgainAndThenRefused: never is what was not seen taken for
// what is not there.
func TestARegistryThatIsDownIsAskedAgainAndThenRefused(t *testing.T) {
	h := newHarbor(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Referrers = true }))
	step := gates.New(r.Procedures, r.Evidence, nil, h.finder)
	good := h.image(t, func(digest string) [][]byte { return [][]byte{tests(t, "ci", "PASSED", digest)} })
	h.down.Store(true)
	release := request(t, r, "planned", nil, good)
	now := time.Now()
	s, err := r.Act(t, step, release, now)
	if !errors.Is(err, referrers.ErrUnreachable) || s.Phase != procedure.PhaseGates {
		t.Fatalf("at once: phase %s, %v", s.Phase, err)
	}
	h.down.Store(false)
	if s, err = r.Act(t, step, release, now.Add(time.Minute)); err != nil || s.Phase != procedure.PhaseScope {
		t.Errorf("when it is back: phase %s, %v", s.Phase, err)
	}
	h.down.Store(true)
	var proof []byte
	for key, changes := range map[string][]func(*releasev1.Request){"late": {good}, "urgent": {good, proceduretest.Emergency}} {
		at := time.Now().Add(6 * time.Minute)
		if key == "urgent" {
			at = time.Now()
		}
		release := request(t, r, key, proof, changes...)
		s, err := r.Act(t, step, release, at)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]procedure.Phase{"late": procedure.PhaseRecord, "urgent": procedure.PhaseScope}[key]
		_, unseen := found(s, r, t, release)
		if s.Phase != want || len(unseen) != 1 || !strings.Contains(s.Gates[0].GetReason(), "registry cannot be asked") {
			t.Errorf("%s: phase %s, %v, unseen %v", key, s.Phase, s.Gates, unseen)
		}
	}
}

// TestOnlyWhatTheDocumentAndTheConfigurationNameIsAsked.
func TestOnlyWhatTheDocumentAndTheConfigurationNameIsAsked(t *testing.T) {
	h := newHarbor(t)
	silent := approvaltest.New(t, approvaltest.Document())
	good := h.image(t, func(digest string) [][]byte { return [][]byte{tests(t, "ci", "PASSED", digest)} })
	before := h.asked.Load()
	s, err := silent.Act(t, gates.New(silent.Procedures, silent.Evidence, nil, h.finder), request(t, silent, "silent", nil, good), time.Now())
	if err != nil || s.Phase != procedure.PhaseRecord || h.asked.Load() != before {
		t.Errorf("a document that does not say so: phase %s, %v, asked %d times", s.Phase, err, h.asked.Load()-before)
	}
	d := approvaltest.Document(func(d *policyv1.Procedure) { d.Version, d.Referrers = "2.0", true })
	silent.Activate(t, d)
	elsewhere := func(r *releasev1.Request) { good(r); r.Artifacts[0].Location = "registry.example/shop/web" }
	for _, step := range []struct {
		name   string
		finder []gates.Finder
		change func(*releasev1.Request)
		reason string
	}{
		{"another-registry", []gates.Finder{h.finder}, elsewhere, `"registry.example" is no registry that the approval service is configured to ask`},
		{"no-registry", nil, good, "configured with no registry"},
	} {
		s, err := silent.Act(t, gates.New(silent.Procedures, silent.Evidence, nil, step.finder...), request(t, silent, step.name, nil, step.change), time.Now())
		if err != nil || s.Phase != procedure.PhaseRecord || !strings.Contains(s.Gates[0].GetReason(), step.reason) {
			t.Errorf("%s: phase %s, %v, %v", step.name, s.Phase, s.Gates, err)
		}
	}
}
