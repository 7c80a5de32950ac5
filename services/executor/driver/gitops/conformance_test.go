//go:build kubernetes

package gitops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/gitopstest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// The executors that die are this test binary; what they reach are the repository and the cluster
// of the one that started them.
func TestMain(m *testing.M) {
	drivertest.Obey(drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			text, err := os.ReadFile(filepath.Join(folder, "config.json"))
			if err != nil {
				return nil, err
			}
			var c configv1.GitopsDriver
			if err := protojson.Unmarshal(text, &c); err != nil {
				return nil, err
			}
			return gitops.New(&c, gitops.Options{Target: target, At: at})
		},
		Plan: plan,
	})
	kubetest.Main(m)
}

const target = "shop-eu-1"

// manifest is one of a version.
func manifest(version int) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {version: \"%d\"}\n", version)
}

func plan(_ string, version int) driver.Plan { return planOf(version, manifest(version)) }

func planOf(version int, text string) driver.Plan {
	return driver.Plan{
		Target: target, Version: fmt.Sprintf("%d.0.0", version),
		Artifact: drivertest.File("shop", fmt.Sprintf("shop/%d/shop.yaml", version), []byte(text)),
	}
}

// world is a repository, a cluster that follows it, and the folder by which executors find both.
type world struct {
	*gitopstest.Follower
	folder string
	config *configv1.GitopsDriver
}

func open(t *testing.T, kind configv1.GitopsResource_Kind) world {
	t.Helper()
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	w := world{Follower: gitopstest.Follow(t, c, namespace, kind, gitrepotest.New(t)), folder: t.TempDir()}
	w.config = &configv1.GitopsDriver{
		Repository: w.Repository.Config(), Path: gitopstest.Path, KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
		Resource: &configv1.GitopsResource{Kind: kind, Name: "shop"}, FailedFor: durationpb.New(100 * time.Millisecond),
	}
	text, err := protojson.Marshal(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.folder, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) driver(t *testing.T) *gitops.Driver {
	t.Helper()
	d, err := gitops.New(w.config, gitops.Options{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// carries is the digest of the version that the cluster has.
func (w world) carries(t *testing.T) string {
	live := w.Live(t)
	for version := range 4 {
		if live["shop.yaml"] == manifest(version) && len(live) == 1 {
			return plan("", version).Artifact.Digest
		}
	}
	return ""
}

// running is what the target carries, as soon as the controller has taken up what is on the branch.
func (w world) running(t *testing.T) string {
	t.Helper()
	d := w.driver(t)
	for {
		digest, err := d.Running(t.Context())
		if err == nil {
			return digest
		}
		if !errors.Is(err, driver.ErrUnknown) {
			t.Fatal(err)
		}
	}
}

// effects counts the commits by which the folder became another one, as Git does.
func (w world) effects(t *testing.T) int {
	return strings.Count(w.Repository.Git(t, "rev-list", gitrepotest.Branch, "--", gitopstest.Path), "\n")
}

// state is all that is in the repository, and what is wanted of the resource.
func (w world) state(t *testing.T) string {
	wanted, err := json.Marshal(w.State(t))
	if err != nil {
		t.Fatal(err)
	}
	return w.Repository.Git(t, "for-each-ref") + string(wanted)
}

// lose has the server keep nothing that is older than the newest commit.
func (w world) lose(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.Repository.Folder, "shallow"), []byte(w.Repository.Head(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	points := gitops.Points
	if testing.Short() {
		points = []string{gitops.PointPushed}
	}
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness {
		h := open(t, configv1.GitopsResource_KIND_ARGOCD_APPLICATION).harness()
		h.Points = points
		return h
	})
}

// harness is what a target is to the suite, without the places at which its executors die.
func (w world) harness() drivertest.Harness {
	return drivertest.Harness{
		Open:      func(t *testing.T) driver.Driver { return w.driver(t) },
		Plan:      func(_ *testing.T, version int) driver.Plan { return plan("", version) },
		Effects:   w.effects,
		Carries:   w.carries,
		State:     w.state,
		DiffReads: true,
		Few:       testing.Short(),
		Lose:      func(t *testing.T, _ int) { w.lose(t) },
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, w.folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, w.folder, point, call)
		},
		Shut: 10 * time.Second,
		Slow: 2 * time.Minute,
	}
}
