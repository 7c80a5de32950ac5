// Package gitopstest plays what follows a repository in a cluster, for tests: the kinds of Argo CD
// and Flux as far as the driver reads them, and a controller that reads the real repository, has
// the cluster carry what is there, and says so in the status of its resource. What it says is what
// the two say in the same place; that it is healthy, tests decide.
package gitopstest

import (
	"context"
	_ "embed"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// kinds are the definitions of the kinds.
//
//go:embed kinds.yaml
var kinds string

// role is what the executor may do there, as docs/gitops.md has it.
//
//go:embed role.yaml
var role string

type object = map[string]any

// Path is the folder of the target, and Broken a word by which what is in it never becomes healthy.
const (
	Path   = "apps/shop"
	Broken = "broken: true"
)

// every is the time between two looks of the controller at the branch.
const every = 20 * time.Millisecond

// Follower is a resource that follows the repository, and its controller.
type Follower struct {
	Repository *gitrepotest.Repository
	Kind       configv1.GitopsResource_Kind
	Namespace  string

	admin *kubetest.Client

	mu     sync.Mutex
	paused bool
}

// Follow makes the kinds, where they are not there, and a resource of one of them, which follows
// the branch of the repository until the test ends.
func Follow(t *testing.T, c *kubetest.Cluster, namespace string, kind configv1.GitopsResource_Kind, repo *gitrepotest.Repository) *Follower {
	t.Helper()
	f := &Follower{Repository: repo, Kind: kind, Namespace: namespace, admin: c.Client(kubetest.Admin)}
	for _, text := range strings.Split(kinds, "\n---\n") {
		o := parse(t, text)
		const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
		if status := f.admin.Status(t, http.MethodPost, definitions, o); status != http.StatusCreated && status != http.StatusConflict {
			t.Fatalf("status %d for a kind", status)
		}
	}
	const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/"
	f.admin.Must(t, http.MethodPost, rbac+namespace+"/roles", parse(t, role))
	f.admin.Must(t, http.MethodPost, rbac+namespace+"/rolebindings", object{
		"metadata": object{"name": "shipwarden-gitops"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "shipwarden-gitops"},
		"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": string(kubetest.Executor)}},
	})
	url := repo.Config().GetUrl()
	for path, o := range map[string]object{
		f.at("argoproj.io/v1alpha1", "applications"): {
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": object{"name": "shop"},
			"spec": object{"source": object{"repoURL": url, "path": Path, "targetRevision": gitrepotest.Branch}, "syncPolicy": object{"automated": object{"prune": true}}},
		},
		f.at("source.toolkit.fluxcd.io/v1", "gitrepositories"): {
			"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": object{"name": "deploy"},
			"spec": object{"url": url, "ref": object{"branch": gitrepotest.Branch}},
		},
		f.at("kustomize.toolkit.fluxcd.io/v1", "kustomizations"): {
			"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": object{"name": "shop"},
			"spec": object{"path": "./" + Path, "wait": true, "sourceRef": object{"kind": "GitRepository", "name": "deploy"}},
		},
	} {
		kubetest.Eventually(t, path+" can be made", func() bool { return f.admin.Status(t, http.MethodPost, path, o) == http.StatusCreated })
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.follow(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return f
}

func parse(t *testing.T, text string) object {
	t.Helper()
	var o object
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (f *Follower) at(group, resource string) string {
	return "/apis/" + group + "/namespaces/" + f.Namespace + "/" + resource
}

// resource is where the resource is that the driver reads.
func (f *Follower) resource() string {
	if f.Kind == configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION {
		return f.at("kustomize.toolkit.fluxcd.io/v1", "kustomizations") + "/shop"
	}
	return f.at("argoproj.io/v1alpha1", "applications") + "/shop"
}

// Pause has the controller do nothing, as one that is down, until it is called with false.
func (f *Follower) Pause(paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = paused
}

// Change changes what is wanted of the resource.
func (f *Follower) Change(t *testing.T, spec object) {
	t.Helper()
	f.admin.Must(t, http.MethodPatch, f.resource(), object{"spec": spec})
}

// Asked is how often, and by what, the resource was asked to look.
func (f *Follower) Asked(t *testing.T) string {
	t.Helper()
	path, annotation := f.resource(), "argocd.argoproj.io/refresh"
	if f.Kind == configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION {
		path, annotation = f.at("source.toolkit.fluxcd.io/v1", "gitrepositories")+"/deploy", "reconcile.fluxcd.io/requestedAt"
	}
	asked, _ := kubetest.Field(f.admin.Must(t, http.MethodGet, path, nil), "metadata", "annotations", annotation).(string)
	return asked
}

// live is where the cluster has what the controller has placed.
func (f *Follower) live() string { return "/api/v1/namespaces/" + f.Namespace + "/configmaps" }

// Live is what the cluster carries: the files of the folder, as the controller has placed them.
func (f *Follower) Live(t *testing.T) map[string]string {
	t.Helper()
	status, answer, err := f.admin.Do(t.Context(), http.MethodGet, f.live()+"/live", nil)
	if err != nil || status != http.StatusOK && status != http.StatusNotFound {
		t.Fatalf("status %d, %v", status, err)
	}
	data, _ := answer["data"].(object)
	out := make(map[string]string)
	for name, text := range data {
		out[name], _ = text.(string)
	}
	return out
}

// State is what is wanted of the resource, without what its controller says.
func (f *Follower) State(t *testing.T) any {
	t.Helper()
	o := f.admin.Must(t, http.MethodGet, f.resource(), nil)
	return []any{o["spec"], kubetest.Field(o, "metadata", "annotations")}
}

// follow places what is new on the branch, again and again.
func (f *Follower) follow(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := ""
	for {
		head, err := os.ReadFile(filepath.Join(f.Repository.Folder, "refs", "heads", gitrepotest.Branch))
		f.mu.Lock()
		paused := f.paused
		f.mu.Unlock()
		if err == nil && !paused && string(head) != last && f.place(ctx, strings.TrimSpace(string(head))) {
			last = string(head)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// place has the cluster carry the files of a commit, and says so. Healthy is what is not broken.
func (f *Follower) place(ctx context.Context, head string) bool {
	files := make(object)
	healthy := true
	list, err := exec.CommandContext(ctx, "git", "-C", f.Repository.Folder, "ls-tree", "-r", "--name-only", head, Path+"/").Output()
	if err != nil {
		return false
	}
	for name := range strings.FieldsSeq(string(list)) {
		text, err := exec.CommandContext(ctx, "git", "-C", f.Repository.Folder, "cat-file", "blob", head+":"+name).Output()
		if err != nil {
			return false
		}
		files[strings.ReplaceAll(strings.TrimPrefix(name, Path+"/"), "/", ".")] = string(text)
		healthy = healthy && !strings.Contains(string(text), Broken)
	}
	live := object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "live"}, "data": files}
	status, _, err := f.admin.Do(ctx, http.MethodPut, f.live()+"/live", live)
	if err == nil && status == http.StatusNotFound {
		status, _, err = f.admin.Do(ctx, http.MethodPost, f.live(), live)
	}
	if err != nil || status/100 != 2 {
		return false
	}
	_, is, err := f.admin.Do(ctx, http.MethodGet, f.resource(), nil)
	if err != nil {
		return false
	}
	status, _, err = f.admin.Do(ctx, http.MethodPatch, f.resource()+"/status", object{"status": f.says(head, healthy, kubetest.Field(is, "metadata", "generation"), kubetest.Field(is, "status", "lastAppliedRevision"))})
	return err == nil && status == http.StatusOK
}

// says is what the controllers say of a commit.
func (f *Follower) says(head string, healthy bool, generation, applied any) object {
	if f.Kind != configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION {
		health := "Degraded"
		if healthy {
			health = "Healthy"
		}
		return object{
			"sync": object{"status": "Synced", "revision": head}, "health": object{"status": health},
			"operationState": object{"phase": "Succeeded", "message": "successfully synced", "syncResult": object{"revision": head}},
		}
	}
	revision := gitrepotest.Branch + "@sha1:" + head
	ready := object{
		"type": "Ready", "status": "False", "reason": "HealthCheckFailed", "message": "Deployment/shop is not ready", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}
	if healthy {
		applied = revision
		ready["status"], ready["reason"], ready["message"] = "True", "ReconciliationSucceeded", "Applied revision: "+revision
	}
	return object{"observedGeneration": generation, "lastAppliedRevision": applied, "lastAttemptedRevision": revision, "conditions": []object{ready}}
}
