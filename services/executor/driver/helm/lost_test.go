//go:build kubernetes

package helm_test

import (
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
