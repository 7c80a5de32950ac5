//go:build kubernetes

package helm_test

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
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// patience is how long one call may take on a slow machine.
const patience = 2 * time.Minute

// The executors that die are this test binary; what they reach is the cluster of the one
// that started them.
func TestMain(m *testing.M) {
	apart.Obey()
	drivertest.Obey(drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			return helm.New(config(folder), helm.Options{Target: "shop-1", At: at})
		},
		Plan: func(_ string, version int) driver.Plan { return plan(version) },
	})
	kubetest.Main(m)
}

// config is that of a target in the namespace that the folder is called after.
func config(folder string) *configv1.HelmDriver {
	return &configv1.HelmDriver{KubeconfigFile: filepath.Join(folder, "kubeconfig"), Namespace: filepath.Base(folder), Release: "shop"}
}

// shop is the chart of an application of no replicas, so that it is ready as soon as its controllers
// have looked at it. The third version has one object more, and the first another.
func shop(version int) files {
	all := files{
		"shop/Chart.yaml":  fmt.Sprintf("apiVersion: v2\nname: shop\nversion: %d.0.0\n", version),
		"shop/values.yaml": "replicas: 0\n",
		"shop/templates/config.yaml": fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name | quote }}}
data: {version: "%d"}
`, version),
		"shop/templates/deployment.yaml": fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name | quote }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: shop, image: "registry.example.test/shop:%d.0.0"}]
`, version),
	}
	if version != 2 {
		all["shop/templates/service.yaml"] = fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: shop-%d}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`, version)
	}
	return all
}

// plan is the same for the same version, in whichever process.
func plan(version int) driver.Plan { return charted(version, archived(shop(version))) }

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
	text, err := os.ReadFile(c.Kubeconfig(t, kubetest.Executor, w.namespace))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config(w.folder).GetKubeconfigFile(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) driver(t *testing.T, c *configv1.HelmDriver, o helm.Options) *helm.Driver {
	t.Helper()
	o.Target = "shop-1"
	d, err := helm.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// path is that of something in the namespace.
func (w world) path(what string) string {
	group := "/api/v1"
	switch kind, _, _ := strings.Cut(what, "/"); kind {
	case "deployments":
		group = "/apis/apps/v1"
	case "jobs":
		group = "/apis/batch/v1"
	}
	return group + "/namespaces/" + w.namespace + "/" + what
}

// object is one as it is; nil where it is not.
func (w world) object(t *testing.T, what string) map[string]any {
	t.Helper()
	status, answer, err := w.admin.Do(t.Context(), http.MethodGet, w.path(what), nil)
	switch {
	case err != nil || status != http.StatusOK && status != http.StatusNotFound:
		t.Fatalf("status %d, %v: %v", status, err, answer["message"])
	case status == http.StatusNotFound:
		return nil
	}
	return answer
}

func (w world) image(t *testing.T) string {
	image, _ := kubetest.Field(w.object(t, "deployments/shop"), "spec", "template", "spec", "containers", 0, "image").(string)
	return image
}

// carries is the digest of the version whose image the application runs.
func (w world) carries(t *testing.T) string {
	image := w.image(t)
	for version := range 4 {
		if strings.HasSuffix(image, fmt.Sprintf(":%d.0.0", version)) {
			return plan(version).Artifact.Digest
		}
	}
	return ""
}

// changes counts how often what is wanted of the application was changed, as its server does.
func (w world) changes(t *testing.T) int {
	generation, _ := kubetest.Field(w.object(t, "deployments/shop"), "metadata", "generation").(float64)
	return int(generation)
}

// items are the objects of a kind.
func (w world) items(t *testing.T, kind string) []map[string]any {
	t.Helper()
	var out []map[string]any
	items, _ := w.admin.Must(t, http.MethodGet, w.path(kind), nil)["items"].([]any)
	for _, item := range items {
		fields, _ := item.(map[string]any)
		out = append(out, fields)
	}
	return out
}

// state is every object that the driver may have changed.
func (w world) state(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, kind := range []string{"configmaps", "secrets", "services", "deployments"} {
		for _, fields := range w.items(t, kind) {
			// What controllers say of an object they say when they like.
			delete(fields, "status")
			meta, _ := fields["metadata"].(map[string]any)
			if kind == "deployments" {
				delete(meta, "resourceVersion")
				delete(meta, "managedFields")
				delete(meta, "annotations")
			}
			text, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(append(text, '\n'))
		}
	}
	return all.String()
}

// lose deletes what is kept of a version.
func (w world) lose(t *testing.T, version int) {
	t.Helper()
	for _, item := range w.items(t, "configmaps") {
		if kubetest.Field(item, "metadata", "annotations", "shipwarden.github.io/digest") == plan(version).Artifact.Digest {
			name, _ := kubetest.Field(item, "metadata", "name").(string)
			w.admin.Must(t, http.MethodDelete, w.path("configmaps/"+name), nil)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	points := helm.Points
	if testing.Short() {
		points = []string{helm.PointPartly}
	}
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness {
		h := harness(t, points)
		h.Troubles = nil
		return h
	})
}

// TestOrdeal has a server, too, that loses requests and answers, is slow, or does part of it.
func TestOrdeal(t *testing.T) {
	t.Parallel()
	few := 3
	if testing.Short() {
		few = 1
	}
	drivertest.Ordeal(t, few, func(t *testing.T) drivertest.Harness { return harness(t, helm.Points) })
}

func harness(t *testing.T, points []string) drivertest.Harness {
	t.Helper()
	w := open(t)
	wrapped := func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) driver.Driver {
		return w.driver(t, config(w.folder), helm.Options{Wrap: wrap})
	}
	return drivertest.Harness{
		Open:      func(t *testing.T) driver.Driver { return wrapped(t, drivertest.Whole) },
		Plan:      func(_ *testing.T, version int) driver.Plan { return plan(version) },
		Effects:   w.changes,
		Carries:   w.carries,
		State:     w.state,
		Points:    points,
		DiffReads: true,
		Few:       testing.Short(),
		Lose:      w.lose,
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
