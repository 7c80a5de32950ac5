//go:build kubernetes

package helm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
)

// What somebody makes when Helm has looked is theirs, also when the change is tried again and when it is
// sealed: that the record names it says no more than that it was to be placed.
func TestWhatSomebodyMakesBeforeHelmComesToItIsNotTaken(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{At: func(point string) {
		if point == helm.PointPending && w.object(t, "configmaps/shop") == nil {
			w.admin.Must(t, http.MethodPost, w.path("configmaps")+"?fieldManager=kubectl-create",
				map[string]any{"metadata": map[string]any{"name": "shop"}, "data": map[string]any{"theirs": "a"}})
		}
	}})
	f := driver.Fence{Epoch: "e1", Sequence: 10}
	for attempt := uint32(1); attempt <= 3; attempt++ {
		_, err := d.Apply(t.Context(), driver.ApplyKey("web-1", 0, attempt), f, plan(1))
		var theirs *driver.ManualChange
		if !errors.As(err, &theirs) || *theirs != (driver.ManualChange{Object: "ConfigMap shop", Manager: "kubectl-create"}) {
			t.Errorf("attempt %d: %v", attempt, err)
		}
	}
	if status, err := d.Seal(t.Context(), driver.ApplyKey("web-1", 0, 3), f); status != driver.StatusStarted || err != nil {
		t.Errorf("seal: %s, %v", status, err)
	}
	theirs := w.object(t, "configmaps/shop")
	if labels := kubetest.Field(theirs, "metadata", "labels"); labels != nil || kubetest.Field(theirs, "data", "theirs") != "a" {
		t.Errorf("theirs was changed: %v", theirs)
	}
}

// Whose a field is that somebody takes over in the middle says the error, in fields of its own.
func TestWhatSomebodyChangesWhileHelmIsAtWorkIsNamed(t *testing.T) {
	t.Parallel()
	w := open(t)
	one, two := web(1, "1.0.0", nil), web(2, "2.0.0", nil)
	r, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, one, driver.Plan{})
	must(t, r, err)
	d := w.driver(t, config(w.folder), helm.Options{At: func(point string) {
		if point == helm.PointPending {
			w.byHand(t, "kubectl-scale", map[string]any{"replicas": 3})
		}
	}})
	_, err = place(t, d, 2, two, one)
	var theirs *driver.ManualChange
	if !errors.As(err, &theirs) || *theirs != (driver.ManualChange{Object: "Deployment shop", Field: ".spec.replicas", Manager: "kubectl-scale"}) {
		t.Errorf("got %v", err)
	}
	if got := kubetest.Field(w.object(t, "deployments/shop"), "spec", "replicas"); got != 3.0 || w.image(t) != "registry.example.test/web:1.0.0" {
		t.Errorf("theirs was changed: %v replicas of %s", got, w.image(t))
	}
}

func TestTheWayBackOfHelmIsTriedWithWhatItDeletes(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	// One whose executor may delete nothing.
	firm := w.driver(t, config(w.folder), helm.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodDelete {
				// There it has no rights.
				r.URL.Path = strings.Replace(r.URL.Path, w.namespace, "default", 1)
			}
			return next.RoundTrip(r)
		})
	}})
	if asked, err := firm.Diff(t.Context(), plan(1)); err != nil || !strings.Contains(asked.Failed, "could not be deleted again") {
		t.Errorf("what would be new, and stay: %+v, %v", asked, err)
	}
	r, err := place(t, d, 1, plan(1), driver.Plan{})
	must(t, r, err)
	r, err = place(t, d, 2, plan(3), plan(1))
	must(t, r, err)
	p := plan(3)
	p.Previous = plan(1).Artifact.Digest
	if got, err := d.DryRunRollback(t.Context(), p); err != nil || !got.Possible || !strings.Contains(got.Steps, "delete:  Service shop-3\n") {
		t.Errorf("who may delete: %+v, %v", got, err)
	}
	if got, err := firm.DryRunRollback(t.Context(), p); err != nil || got.Possible || !strings.Contains(got.Reason, "Service shop-3 cannot be deleted") {
		t.Errorf("who may not: %+v, %v", got, err)
	}
	if w.object(t, "services/shop-3") == nil {
		t.Error("asking has deleted it")
	}
}

// Another installation has a target of the same id there, by mistake.
func TestTwoInstallationsWithAReleaseOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	w := open(t)
	of := func(name string) driver.Driver {
		c := config(w.folder)
		c.Installation = name
		return w.driver(t, c, helm.Options{})
	}
	r, err := place(t, of("eu"), 1, plan(1), driver.Plan{})
	must(t, r, err)
	for _, name := range []string{"us", ""} {
		other := of(name)
		if _, err := other.Running(t.Context()); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), `"eu"`) {
			t.Errorf("%q: running: %v", name, err)
		}
		if _, err := place(t, other, 2, plan(2), plan(1)); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: apply: %v", name, err)
		}
		if _, err := other.Seal(t.Context(), driver.ApplyKey("web-3", 0, 1), driver.Fence{Epoch: "e1", Sequence: 30}); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: seal: %v", name, err)
		}
	}
	if w.carries(t) != plan(1).Artifact.Digest {
		t.Errorf("carries %s", w.carries(t))
	}
	r, err = place(t, of("eu"), 2, plan(2), plan(1))
	must(t, r, err)
}
