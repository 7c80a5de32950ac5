//go:build kubernetes

package gitops_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
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

// isPush says whether a request is to move the branch.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack")
}

// troubles are what can happen to a call on its way to the repository, to the controller and to the
// cluster.
func (w world) troubles() map[string]func(t *testing.T) (driver.Driver, func()) {
	before := func(do func(w http.ResponseWriter, r *http.Request) bool) { w.Repository.Before.Store(&do) }
	over := func() {
		w.Repository.Before.Store(nil)
		w.Repository.After.Store(nil)
	}
	return map[string]func(t *testing.T) (driver.Driver, func()){
		"a push is lost": func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			var lost atomic.Bool
			before(func(_ http.ResponseWriter, r *http.Request) bool {
				if isPush(r) && !lost.Swap(true) {
					panic(http.ErrAbortHandler)
				}
				return true
			})
			return w.driver(t), over
		},
		"the answer to a push is lost": func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			var lost atomic.Bool
			after := func(r *http.Request) bool { return !isPush(r) || lost.Swap(true) }
			w.Repository.After.Store(&after)
			return w.driver(t), over
		},
		"the server is slow": func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			before(func(http.ResponseWriter, *http.Request) bool {
				<-time.After(30 * time.Millisecond)
				return true
			})
			return w.driver(t), over
		},
		"a push arrives late": w.late,
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

// late keeps the first push that is made, whose sender hears nothing of it. It reaches the server
// when the trouble is over, whatever was pushed meanwhile.
func (w world) late(t *testing.T) (driver.Driver, func()) {
	t.Helper()
	var mu sync.Mutex
	var kept *http.Request
	keep := func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if !isPush(r) || kept != nil {
			return true
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		kept = r.Clone(context.Background())
		kept.Body = io.NopCloser(bytes.NewReader(body))
		panic(http.ErrAbortHandler)
	}
	w.Repository.Before.Store(&keep)
	return w.driver(t), sync.OnceFunc(func() {
		w.Repository.Before.Store(nil)
		mu.Lock()
		defer mu.Unlock()
		if kept == nil {
			return
		}
		again, err := http.NewRequestWithContext(context.Background(), kept.Method, w.Repository.Server+kept.URL.Path, kept.Body)
		if err != nil {
			t.Error(err)
			return
		}
		again.Header = kept.Header
		answer, err := http.DefaultClient.Do(again)
		if err != nil {
			t.Errorf("the push that came late: %v", err)
			return
		}
		_ = answer.Body.Close()
	})
}
