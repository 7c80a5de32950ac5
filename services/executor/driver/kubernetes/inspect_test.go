//go:build kubernetes

package kubernetes_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
)

// inspects asks for what was changed, and expects lines that begin so.
func inspects(t *testing.T, d driver.Inspector, when string, want ...string) {
	t.Helper()
	got, err := d.Inspect(t.Context())
	ok := err == nil && len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s: %v\n%s\nwant\n%s", when, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhatSomebodyChangesByHandIsSeen with the tools that people use, each by its own manager
// (N-08): a value that was changed, one that was added, an object that was deleted.
func TestWhatSomebodyChangesByHandIsSeen(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	inspects(t, d, "before anything was placed")
	if _, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service)); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "as it was placed")

	container := func(fields object) object {
		fields["name"] = "shop"
		return object{"spec": object{"template": object{"spec": object{"containers": []any{fields}}}}}
	}
	by := func(who string) string { return w.path("deployments/shop") + "?fieldManager=" + who }
	w.admin.Must(t, http.MethodPatch, by("kubectl-set"), container(object{"image": "registry.example.test/shop:hotfix"}))
	inspects(t, d, "another image",
		"Deployment shop: spec.template.spec.containers[0].image is not as it was placed",
		`Deployment shop: spec.template.spec.containers[name="shop"].image is kubectl-set's`)
	w.admin.Must(t, http.MethodPatch, by("kubectl-set"), container(object{
		"image": "registry.example.test/shop:1.0.0", "env": []any{object{"name": "INJECTED", "value": "hunter2"}},
	}))
	got, err := d.Inspect(t.Context())
	if err != nil || !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, `env[name="INJECTED"].value is kubectl-set's`) }) ||
		strings.Contains(strings.Join(got, ""), "hunter2") {
		t.Errorf("a variable that was added: %v\n%s", err, strings.Join(got, "\n"))
	}
	c := config(w.folder)
	c.OtherManagers = []string{"kubectl-set"}
	trusting, err := kubernetes.New(c, kubernetes.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	inspects(t, trusting, "by somebody who may")

	w.admin.Must(t, http.MethodDelete, w.path("services/shop"), nil)
	got, err = d.Inspect(t.Context())
	if err != nil || !slices.Contains(got, "Service shop: it was deleted") {
		t.Errorf("a service that was deleted: %v\n%s", err, strings.Join(got, "\n"))
	}
}

// TestWhatControllersSetIsNoChangeByHand: an autoscaler, what a rollout writes, and what people
// note on an object.
func TestWhatControllersSetIsNoChangeByHand(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service))
	if err != nil {
		t.Fatal(err)
	}
	w.admin.Must(t, http.MethodPatch, w.path("deployments/shop/scale")+"?fieldManager=kube-controller-manager", object{"spec": object{"replicas": 3}})
	w.admin.Must(t, http.MethodPatch, w.path("deployments/shop")+"?fieldManager=kubectl-annotate", object{"metadata": object{"annotations": object{"note": "watch me"}}})
	inspects(t, d, "scaled and noted")
	if _, _, err := release(t, d, 2, first, web("2.0.0", service)); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "after the next release")
}

// TestWhatAControllerWritesDuringTheLookIsNoChangeByHand: between that an object is read and that the
// server is asked what it should be, its controller notes the revision of a rollout on it.
func TestWhatAControllerWritesDuringTheLookIsNoChangeByHand(t *testing.T) {
	t.Parallel()
	w := open(t)
	if _, _, err := release(t, w.driver(t, kubernetes.Options{}), 1, driver.Plan{}, web("1.0.0", "")); err != nil {
		t.Fatal(err)
	}
	asked, revision := 0, 7
	d := w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/shop") {
				if asked++; asked%2 == 1 {
					revision++
					w.admin.Must(t, http.MethodPatch, w.path("deployments/shop")+"?fieldManager=kube-controller-manager",
						object{"metadata": object{"annotations": object{"deployment.kubernetes.io/revision": fmt.Sprint(revision)}}})
				}
			}
			return next.RoundTrip(r)
		})
	}})
	inspects(t, d, "while its controller wrote")
	// Nor is it a part of what approvers are told, and of what is compared with that at the start.
	told, err := d.Diff(t.Context(), planOf(2, web("2.0.0", "")))
	if err != nil || told.Failed != "" || !strings.Contains(told.Text, "shop:2.0.0") || strings.Contains(told.Text, "revision") {
		t.Errorf("approvers are told %+v, %v", told, err)
	}
	if asked < 4 {
		t.Errorf("the server was asked %d times", asked)
	}
}

// TestAWorkloadThatNobodyReleasedIsSeen where the namespace is the target's alone; and without
// the right to list it nobody says that there is none.
func TestAWorkloadThatNobodyReleasedIsSeen(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	c.WholeNamespace = true
	d, err := kubernetes.New(c, kubernetes.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", "")); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "as it was placed")
	w.admin.Must(t, http.MethodPost, w.path("pods"), object{
		"metadata": object{"name": "miner"}, "spec": object{"containers": []any{object{"name": "miner", "image": "registry.example.test/miner:1"}}},
	})
	inspects(t, d, "a pod of nobody's", "Pod miner: no release has placed it")
	w.admin.Must(t, http.MethodDelete, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+w.namespace+"/rolebindings/kubetest-executor", nil)
	kubetest.Eventually(t, "the executor may not look", func() bool {
		_, err := d.Inspect(t.Context())
		return err != nil && strings.Contains(err.Error(), "forbidden") && !errors.Is(err, driver.ErrUnknown)
	})
}

// TestAnInspectionDuringAChangeSaysNothing: what is half done is nobody's hand.
func TestAnInspectionDuringAChangeSaysNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	var asked error
	d := w.driver(t, kubernetes.Options{At: func(point string) {
		if point == kubernetes.PointPartly && asked == nil {
			_, asked = w.driver(t, kubernetes.Options{}).Inspect(t.Context())
		}
	}})
	if _, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(asked, driver.ErrUnknown) {
		t.Errorf("got %v", asked)
	}
}
