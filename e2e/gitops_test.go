//go:build kubernetes

package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/gitopstest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// unwell is what makes the application answer that it is not healthy, of which the cluster knows
// nothing.
const unwell = "unwell: true"

// dock is a yard whose first target is a folder of a repository, which a cluster follows.
type dock struct {
	*yard

	repo      *gitrepotest.Repository
	cluster   *gitopstest.Follower
	artifacts string
}

func lay(t *testing.T) *dock {
	t.Helper()
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	d := &dock{repo: gitrepotest.New(t)}
	const kind = configv1.GitopsResource_KIND_ARGOCD_APPLICATION
	d.cluster = gitopstest.Follow(t, c, namespace, kind, d.repo)
	d.yard = open(t, plan{config: func(w *shop.World, cfg *rig.Config) error {
		d.artifacts = cfg.ArtifactFolder
		if err := reaches(cfg, w.Targets[0], "driver: gitops, kinds: [ARTIFACT_KIND_FILE]"); err != nil {
			return err
		}
		cfg.Targets[0] = &configv1.TargetDriver{Target: w.Targets[0], Driver: &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{
			Repository: d.repo.Config(), Path: gitopstest.Path, KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
			Resource: &configv1.GitopsResource{Kind: kind, Name: "shop"}, Ask: true,
			// Who is broken stays so: nothing is gained by waiting for the contrary.
			FailedFor: durationpb.New(1),
		}}}
		cfg.Places[0] = &configv1.TargetAddress{Target: w.Targets[0], BaseUrl: runsIn(t, c, namespace), DigestPath: "/digest"}
		return nil
	}})
	return d
}

// runsIn serves what an application would that is made of what the cluster carries.
func runsIn(t *testing.T, c *kubetest.Cluster, namespace string) string {
	t.Helper()
	admin := c.Client(kubetest.Admin)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, live, _ := admin.Do(r.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/configmaps/live", nil)
		text, _ := kubetest.Field(live, "data", "shop.yaml").(string)
		switch {
		case text == "" || strings.Contains(text, unwell):
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/digest":
			_, _ = fmt.Fprintf(w, "sha256:%x", sha256.Sum256([]byte(text)))
		default:
			_, _ = fmt.Fprint(w, text)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// tell runs a part of the story.
func (d *dock) tell(name string, part func(*dock)) {
	d.Helper()
	d.yard.tell(name, func(y *yard) {
		other := *d
		other.yard = y
		part(&other)
	})
}

// file is a version, with lines of its own.
func (d *dock) file(n int, lines string) (shop.Artifact, string) {
	d.Helper()
	version := fmt.Sprintf("1.%d.0", n)
	text := "kind: ConfigMap\ndata: {version: " + version + "}\n" + lines
	a := shop.Artifact{Version: version, Location: filepath.Join("build-"+version, "shop.yaml"), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))}
	path := filepath.Join(d.artifacts, a.Location)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
	return a, text
}

func (d *dock) first(r *releasev1.Request) {
	r.Plan.Waves = []*releasev1.Wave{{Targets: d.world.Targets[:1]}}
}

// carries demands that the newest commit, which is signed and says so, and the cluster have a text.
func (d *dock) carries(text, subject string) {
	d.Helper()
	head := d.repo.Head(d.T)
	if got := d.repo.Read(d.T, gitopstest.Path+"/shop.yaml"); got != text {
		d.Errorf("Git has %q, want %q", got, text)
	}
	if live := d.cluster.Live(d.T); live["shop.yaml"] != text || len(live) != 1 {
		d.Errorf("the cluster carries %v, want %q alone", live, text)
	}
	if said := d.repo.Git(d.T, "log", "-1", "--format=%s", head); !strings.HasPrefix(said, subject) {
		d.Errorf("the newest commit says %q, want %q", said, subject)
	}
	if err := d.repo.Verify(d.T, head); err != nil {
		d.Errorf("the newest commit: %v", err)
	}
}

// TestReleasesByCommitsToACluster: from request to record, a version is installed by a commit, and
// the next one follows; one that its cluster calls degraded is taken back by another commit, and so
// is one that its cluster calls healthy and its checks do not.
func TestReleasesByCommitsToACluster(t *testing.T) {
	d := lay(t)
	d.tell("a first version is a commit that the cluster takes up", func(d *dock) {
		one, text := d.file(1, "")
		id := d.release(one, "commit-1", d.first)
		d.carries(text, "Release "+one.Version)
		d.recorded(id, one.Digest, "1 to create, 0 to change", "is healthy at commit "+d.repo.Head(d.T)[:7], "| front-page | pass |")
	})
	_, good := d.file(2, "")
	d.tell("the next one is another", func(d *dock) {
		two, text := d.file(2, "")
		id := d.release(two, "commit-2", d.first)
		d.carries(text, "Release "+two.Version)
		d.recorded(id, two.Digest, "0 to create, 1 to change", "is healthy at commit "+d.repo.Head(d.T)[:7])
	})
	for _, broken := range []struct {
		name  string
		n     int
		lines string
		found string
	}{
		{"what its cluster calls degraded is taken back", 3, gitopstest.Broken + "\n", "Degraded"},
		{"what its cluster calls healthy and does not answer, too", 4, unwell + "\n", "| front-page | fail |"},
	} {
		d.tell(broken.name, func(d *dock) {
			bad, _ := d.file(broken.n, broken.lines)
			id := d.submit(bad, fmt.Sprintf("commit-%d", broken.n), d.first)
			d.approve(id, "carol", "dave")
			r := d.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
			d.carries(good, "Take back "+bad.Version)
			d.recorded(id, bad.Digest, broken.found, "### Way back: passed")
			if len(r.GetOpenEscalations()) == 0 {
				d.Error("nobody was called")
			}
		})
	}
}
