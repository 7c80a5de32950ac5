package gitrepotest

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
)

// slowness is how long a slow server takes before it looks at a request.
const slowness = 30 * time.Millisecond

// isPush says whether a request is to move a branch.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack")
}

// Troubles are what can happen to one call on its way to the repository, by name: a push that is
// lost, an answer to one that is, a server that is slow, and a push that arrives when whoever sent it
// has long gone. Each lasts until over, when everything has arrived that was sent.
func (r *Repository) Troubles() map[string]func(t *testing.T) (over func()) {
	before := func(do func(w http.ResponseWriter, r *http.Request) bool) { r.Before.Store(&do) }
	over := func() {
		r.Before.Store(nil)
		r.After.Store(nil)
	}
	return map[string]func(t *testing.T) func(){
		"a push is lost": func(*testing.T) func() {
			var lost atomic.Bool
			before(func(_ http.ResponseWriter, r *http.Request) bool {
				if isPush(r) && !lost.Swap(true) {
					panic(http.ErrAbortHandler)
				}
				return true
			})
			return over
		},
		"the answer to a push is lost": func(*testing.T) func() {
			var lost atomic.Bool
			after := func(r *http.Request) bool { return !isPush(r) || lost.Swap(true) }
			r.After.Store(&after)
			return over
		},
		"the server is slow": func(*testing.T) func() {
			before(func(http.ResponseWriter, *http.Request) bool {
				<-time.After(slowness)
				return true
			})
			return over
		},
		"a push arrives late": r.late,
	}
}

// late keeps the first push that is made, whose sender hears nothing of it. It reaches the server
// when the trouble is over, whatever was pushed meanwhile.
func (r *Repository) late(t *testing.T) func() {
	t.Helper()
	var mu sync.Mutex
	var kept *http.Request
	keep := func(_ http.ResponseWriter, request *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if !isPush(request) || kept != nil {
			return true
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		kept = request.Clone(context.Background())
		kept.Body = io.NopCloser(bytes.NewReader(body))
		panic(http.ErrAbortHandler)
	}
	r.Before.Store(&keep)
	return sync.OnceFunc(func() {
		r.Before.Store(nil)
		mu.Lock()
		defer mu.Unlock()
		if kept == nil {
			return
		}
		again, err := http.NewRequestWithContext(context.Background(), kept.Method, r.Server+kept.URL.Path, kept.Body)
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
