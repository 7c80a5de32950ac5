//go:build kubernetes

package execute_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const manifests = `apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {greeting: hello}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: "registry.example.test/shop:1.0.0"}]}
`

// inCluster is a release of the manifests to a namespace of its own, approved.
func inCluster(t *testing.T, c *kubetest.Cluster) (*sitetest.World, *sitetest.Executor, *sitetest.Release, string) {
	t.Helper()
	namespace := c.Namespace(t)
	w := sitetest.New(t, func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Kubernetes{Kubernetes: &configv1.KubernetesDriver{
			KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
		}}}
	})
	if err := os.WriteFile(filepath.Join(w.Artifacts(), "shop.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	return w, e, shown(t, w, e, func(r *releasev1.Request) {
		r.Artifacts[0].Location, r.Artifacts[0].Digest = "shop.yaml", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifests)))
	}), namespace
}

// What the server says is shown and approved, and what is approved is what happens.
func TestAReleaseToACluster(t *testing.T) {
	c := kubetest.Shared(t)
	admin := c.Client(kubetest.Admin)

	w, e, r, namespace := inCluster(t, c)
	p := r.State(t).Preview("eu1")
	detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
	if err != nil || p.GetClass() != releasev1.DriverClass_DRIVER_CLASS_FENCED || p.GetDiffDigest() == "" ||
		!strings.Contains(string(detail), "create ConfigMap shop\n") || !strings.Contains(string(detail), "create Deployment shop\n") {
		t.Fatalf("%v; %s, %v", p, detail, err)
	}
	deployment := "/apis/apps/v1/namespaces/" + namespace + "/deployments/shop"
	if got := admin.Status(t, http.MethodGet, deployment, nil); got != http.StatusNotFound {
		t.Fatalf("looking has changed something: %d", got)
	}
	e.Start(t, execute.New)
	s := r.Reaches(t, procedure.PhaseVerify)
	if got := s.Result("eu1"); got.GetDigest() != s.PrimaryArtifact().GetDigest() || !strings.Contains(got.GetMessage(), "2 objects are ready") {
		t.Errorf("it ended with %v", got)
	}
	if got := kubetest.Field(admin.Must(t, http.MethodGet, deployment, nil), "status", "readyReplicas"); got != 2.0 {
		t.Errorf("%v replicas are ready", got)
	}

	// Somebody makes by hand what is to be made: it is theirs, and nothing is forced.
	_, e, r, namespace = inCluster(t, c)
	admin.Must(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/configmaps", map[string]any{
		"metadata": map[string]any{"name": "shop"}, "data": map[string]any{"greeting": "hello"},
	})
	s = startOf(t, e, r)
	if s.Phase != procedure.PhaseHeld || s.Holds[0].GetRule() != procedure.HoldPreviewUnknown || !strings.Contains(s.Holds[0].GetMessage(), "was not placed by this target") {
		t.Errorf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
}

// What somebody makes there in the middle of the change stops it, and people are called.
func TestAChangeByHandInTheMiddleOfAReleaseToACluster(t *testing.T) {
	c := kubetest.Shared(t)
	admin := c.Client(kubetest.Admin)
	_, e, r, namespace := inCluster(t, c)
	path := "/apis/apps/v1/namespaces/" + namespace + "/deployments"
	meddled, err := kubernetes.New(&configv1.KubernetesDriver{
		KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
	}, kubernetes.Options{Target: "eu1", At: func(point string) {
		if point == kubernetes.PointPartly {
			labels := map[string]any{"app": "theirs"}
			admin.Must(t, http.MethodPost, path+"?fieldManager=kubectl-create", map[string]any{"metadata": map[string]any{"name": "shop"}, "spec": map[string]any{
				"replicas": 0, "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{
					"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "theirs", "image": "a"}}},
				},
			}})
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Drivers["eu1"] = meddled
	e.Start(t, execute.New, rollback.New)
	s := r.Reaches(t, procedure.PhaseEscalated)
	if m := s.Result("eu1").GetManualChange(); m.GetObject() != "Deployment shop" || m.GetManager() != "kubectl-create" || s.EscalatedFor != releasev1.Cause_CAUSE_MANUAL_CHANGE {
		t.Errorf("%v; called for %s, %s", m, s.EscalatedFor, s.EndReason)
	}
	if got := kubetest.Field(admin.Must(t, http.MethodGet, path+"/shop", nil), "spec", "replicas"); got != 0.0 {
		t.Errorf("theirs was changed: %v replicas", got)
	}
}
