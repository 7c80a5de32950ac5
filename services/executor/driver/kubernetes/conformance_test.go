//go:build kubernetes

package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
)

// The executors that die are this test binary; what they reach is the cluster of the one
// that started them.
func TestMain(m *testing.M) {
	drivertest.Obey(drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			return kubernetes.New(config(folder), kubernetes.Options{Target: "shop-1", At: at})
		},
		Plan: plan,
	})
	kubetest.Main(m)
}

// config is that of a target in the namespace that the folder is called after.
func config(folder string) *configv1.KubernetesDriver {
	return &configv1.KubernetesDriver{KubeconfigFile: filepath.Join(folder, "kubeconfig"), Namespace: filepath.Base(folder)}
}

// shop is an application of no replicas, so that it is ready as soon as its controllers have
// looked at it, and what it is configured with. The third version has one object more, and
// the first another.
func shop(version int) string {
	text := fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {version: "%[1]d"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: shop, image: "registry.example.test/shop:%[1]d.0.0"}]
`, version)
	if version != 2 {
		text += fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: shop-%d}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`, version)
	}
	return text
}

func plan(_ string, version int) driver.Plan { return planOf(version, shop(version)) }

func planOf(version int, manifests string) driver.Plan {
	return driver.Plan{
		Target: "shop-1", Version: fmt.Sprintf("%d.0.0", version),
		Artifact: drivertest.File("shop", fmt.Sprintf("shop/%d/shop.yaml", version), []byte(manifests)),
	}
}

// world is a namespace, and the folder by which executors find it.
type world struct {
	folder    string
	namespace string
	admin     *kubetest.Client
}

func open(t *testing.T) world {
	t.Helper()
	c := kubetest.Shared(t)
	w := world{namespace: c.Namespace(t), admin: c.Client(kubetest.Admin)}
	w.folder = filepath.Join(t.TempDir(), w.namespace)
	if err := os.Mkdir(w.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, c.Kubeconfig(t, kubetest.Executor, w.namespace), config(w.folder).GetKubeconfigFile())
	return w
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w world) driver(t *testing.T, o kubernetes.Options) *kubernetes.Driver {
	t.Helper()
	o.Target = "shop-1"
	d, err := kubernetes.New(config(w.folder), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w world) path(what string) string {
	group := "/api/v1"
	if strings.HasPrefix(what, "deployments") {
		group = "/apis/apps/v1"
	}
	return group + "/namespaces/" + w.namespace + "/" + what
}

// deployment is the application as it is; nil where it is not.
func (w world) deployment(t *testing.T) map[string]any {
	t.Helper()
	status, answer, err := w.admin.Do(t.Context(), http.MethodGet, w.path("deployments/shop"), nil)
	switch {
	case err != nil || status != http.StatusOK && status != http.StatusNotFound:
		t.Fatalf("status %d, %v: %v", status, err, answer["message"])
	case status == http.StatusNotFound:
		return nil
	}
	return answer
}

// carries is the digest of the version whose image the application runs.
func (w world) carries(t *testing.T) string {
	image, _ := kubetest.Field(w.deployment(t), "spec", "template", "spec", "containers", 0, "image").(string)
	for version := range 4 {
		if strings.HasSuffix(image, fmt.Sprintf(":%d.0.0", version)) {
			return plan("", version).Artifact.Digest
		}
	}
	return ""
}

// changes counts how often what is wanted of the application was changed, as its server does.
func (w world) changes(t *testing.T) int {
	generation, _ := kubetest.Field(w.deployment(t), "metadata", "generation").(float64)
	return int(generation)
}

// state is every object that the driver may have changed.
func (w world) state(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, kind := range []string{"configmaps", "services", "deployments"} {
		items, _ := w.admin.Must(t, http.MethodGet, w.path(kind), nil)["items"].([]any)
		for _, item := range items {
			// What controllers say of an object they say when they like.
			fields, _ := item.(map[string]any)
			delete(fields, "status")
			meta, _ := fields["metadata"].(map[string]any)
			if kind == "deployments" {
				delete(meta, "resourceVersion")
				delete(meta, "managedFields")
				delete(meta, "annotations")
			}
			text, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(append(text, '\n'))
		}
	}
	return all.String()
}

func TestConformance(t *testing.T) {
	points := kubernetes.Points
	if testing.Short() {
		points = []string{kubernetes.PointPartly}
	}
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness { return harness(t, points) })
}

// TestOrdeal has a server, too, that loses requests and answers, is slow, or does part of it.
func TestOrdeal(t *testing.T) {
	few := 6
	if testing.Short() {
		few = 1
	}
	drivertest.Ordeal(t, few, func(t *testing.T) drivertest.Harness { return harness(t, kubernetes.Points) })
}

func harness(t *testing.T, points []string) drivertest.Harness {
	t.Helper()
	w := open(t)
	wrapped := func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) driver.Driver {
		return w.driver(t, kubernetes.Options{Wrap: wrap})
	}
	return drivertest.Harness{
		Open:      func(t *testing.T) driver.Driver { return wrapped(t, drivertest.Whole) },
		Plan:      func(_ *testing.T, version int) driver.Plan { return plan(w.folder, version) },
		Effects:   w.changes,
		Carries:   w.carries,
		State:     w.state,
		Points:    points,
		DiffReads: true,
		Few:       testing.Short(),
		Lose: func(t *testing.T, version int) {
			hex := strings.TrimPrefix(plan("", version).Artifact.Digest, "sha256:")
			w.admin.Must(t, http.MethodDelete, w.path("configmaps/shipwarden-shop-1-"+hex[:16]), nil)
		},
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, w.folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, w.folder, point, call)
		},
		Troubles: drivertest.Lossy(wrapped),
		// Less than the time after which a target counts as left.
		Shut: 2 * time.Second,
		Slow: 3 * patience,
		// Whoever is gone does not come back, and is asked for a minute.
		Gone: 10 * time.Second,
	}
}
