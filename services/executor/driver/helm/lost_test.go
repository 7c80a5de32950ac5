//go:build kubernetes

package helm_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
)

// Whoever takes over from an executor that was lost after Helm was through marks what that one has placed,
// in a way that Helm takes for its own of former times. It does not stand in the way back.
func TestWhatWasTakenOverGoesBack(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	r, err := place(t, d, 1, plan(1), driver.Plan{})
	must(t, r, err)
	lost := drivertest.Call{Key: driver.ApplyKey("web-2", 0, 1), Fence: driver.Fence{Epoch: "e1", Sequence: 19}, Version: 2, Previous: 1}
	if !drivertest.Kill(t, w.folder, helm.PointDeployed, lost) {
		t.Fatal("it was not lost")
	}
	r, err = place(t, d, 2, plan(2), plan(1))
	must(t, r, err)
	r, err = back(t, d, 2, plan(2), plan(1))
	must(t, r, err)
	if got := w.carries(t); got != plan(1).Artifact.Digest {
		t.Errorf("it carries %s", got)
	}
}

// A hook before an upgrade that has succeeded is not run again for the same key: what comes after it may
// have been lost, and a hook may not bear to run twice.
func TestAHookThatHasSucceededIsNotRunAgainForTheSameKey(t *testing.T) {
	t.Parallel()
	w := open(t)
	hook := func(name, weight, events string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  annotations: {helm.sh/hook: \"" + events + "\", helm.sh/hook-weight: \"" + weight + "\"}\n"
	}
	more := files{
		"templates/first.yaml": hook("first", "1", "pre-upgrade"), "templates/both.yaml": hook("both", "2", "pre-upgrade,post-upgrade"),
		"templates/second.yaml": hook("second", "3", "pre-upgrade"),
	}
	var mu sync.Mutex
	made := map[string]int{}
	var lost atomic.Bool
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d := w.driver(t, config(w.folder), helm.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return drivertest.RoundTrip(func(r *http.Request) (*http.Response, error) {
			name, ok := strings.CutPrefix(r.URL.Path, w.path("configmaps/"))
			if !ok || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch") || r.URL.Query().Get("dryRun") != "" {
				return next.RoundTrip(r)
			}
			mu.Lock()
			defer mu.Unlock()
			if name == "second" && lost.CompareAndSwap(false, true) {
				cancel() // Its executor is lost there.
				return nil, context.Canceled
			}
			answer, err := next.RoundTrip(r)
			if err == nil && answer.StatusCode < http.StatusMultipleChoices {
				made[name]++
			}
			return answer, err
		})
	}})
	one, two := web(1, "1.0.0", nil), web(2, "2.0.0", more)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	two.Previous = one.Artifact.Digest
	key, fence := driver.ApplyKey("web-2", 0, 1), driver.Fence{Epoch: "e1", Sequence: 20}
	if _, err := d.Apply(ctx, key, fence, two); err == nil {
		t.Fatal("it was not lost")
	}
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	if made["first"] != 1 || made["second"] != 1 || made["both"] != 3 {
		t.Errorf("hooks were made this often: %v", made)
	}
	if !strings.Contains(string(r.Output), "hook first has run for revision 2, and is not run again") || !strings.Contains(r.Message, "hook first") {
		t.Errorf("people are told %s\n%s", r.Message, r.Output)
	}
	// Another attempt is another matter: people have asked for it.
	mu.Lock()
	clear(made)
	mu.Unlock()
	r, err = place(t, d, 3, web(3, "3.0.0", more), two)
	must(t, r, err)
	if made["first"] != 1 || made["second"] != 1 || made["both"] != 2 {
		t.Errorf("hooks of the next release were made this often: %v", made)
	}
}
