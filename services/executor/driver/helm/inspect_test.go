//go:build kubernetes

package helm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
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

// TestWhatSomebodyChangesInAReleaseOfHelmIsSeen (N-08), after an upgrade and after a way back as
// well, and so is what somebody does with Helm by hand.
func TestWhatSomebodyChangesInAReleaseOfHelmIsSeen(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	d := w.driver(t, c, helm.Options{})
	inspects(t, d, "before anything was placed")
	first, second := web(1, "1.0.0", nil), web(2, "2.0.0", nil)
	r, err := place(t, d, 1, first, driver.Plan{})
	must(t, r, err)
	inspects(t, d, "as it was placed")
	r, err = place(t, d, 2, second, first)
	must(t, r, err)
	inspects(t, d, "after an upgrade")
	r, err = back(t, d, 2, second, first)
	must(t, r, err)
	inspects(t, d, "after the way back")

	w.byHand(t, "kubectl-edit", map[string]any{"replicas": 3})
	inspects(t, d, "scaled by hand", "Deployment shop: spec.replicas is kubectl-edit's", "Deployment shop: spec.replicas is not as it was placed")
	c.OtherManagers = []string{"kubectl-edit"}
	if got, err := w.driver(t, c, helm.Options{}).Inspect(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("a value that was released is nobody else's, whoever may own others: %v, %v", got, err)
	}
	for _, item := range w.items(t, "secrets") {
		meta, _ := item["metadata"].(map[string]any)
		labels, _ := meta["labels"].(map[string]any)
		if labels["owner"] == "helm" && labels["version"] == "3" {
			delete(labels, "shipwarden.github.io/target")
			name, _ := meta["name"].(string)
			w.admin.Must(t, http.MethodPut, w.path("secrets/"+name), item)
		}
	}
	inspects(t, d, "upgraded by hand", "release shop: somebody else has made a revision of it")
}
