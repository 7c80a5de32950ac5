//go:build kubernetes

package gitops_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops"
)

// TestOrdeal has a repository, too, that loses pushes and answers, is slow, or takes a push long
// after whoever sent it has gone, a controller that is down, and a cluster that does not answer.
func TestOrdeal(t *testing.T) {
	few := 4
	if testing.Short() {
		few = 1
	}
	drivertest.Ordeal(t, few, func(t *testing.T) drivertest.Harness {
		w := open(t, configv1.GitopsResource_KIND_ARGOCD_APPLICATION)
		h := w.harness()
		h.Points = gitops.Points
		h.Troubles = w.troubles()
		// What was pushed may be on its way when nobody waits for it any more.
		h.Remote = true
		// The controller follows the branch, and effects are those on the branch.
		h.Carries = w.placed
		h.Slow = 30 * time.Second
		return h
	})
}

// placed is the digest of the version that the branch has.
func (w world) placed(t *testing.T) string {
	text := w.Repository.Read(t, file)
	for version := range 4 {
		if text == manifest(version) {
			return plan("", version).Artifact.Digest
		}
	}
	if text != "" {
		t.Errorf("the branch has %q, which is no version", text)
	}
	return ""
}

// troubles are what can happen to a call on its way to the repository, to the controller and to the
// cluster.
func (w world) troubles() map[string]func(t *testing.T) (driver.Driver, func()) {
	all := map[string]func(t *testing.T) (driver.Driver, func()){
		"the controller is down": func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			w.Pause(true)
			return w.impatient(t, nil), func() { w.Pause(false) }
		},
		"the cluster answers every other time": func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			var n atomic.Int64
			return w.impatient(t, func(next http.RoundTripper) http.RoundTripper {
				return drivertest.RoundTrip(func(r *http.Request) (*http.Response, error) {
					if n.Add(1)%2 == 0 {
						return nil, io.ErrUnexpectedEOF
					}
					return next.RoundTrip(r)
				})
			}), func() {}
		},
	}
	for name, strike := range w.Repository.Troubles() {
		all[name] = func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			over := strike(t)
			return w.driver(t), over
		}
	}
	return all
}

// impatient is a driver that waits a second for the resource.
func (w world) impatient(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) driver.Driver {
	t.Helper()
	c := proto.CloneOf(w.config)
	c.Timeout = durationpb.New(time.Second)
	d, err := gitops.New(c, gitops.Options{Target: target, Wrap: wrap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
