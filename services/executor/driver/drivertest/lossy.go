package drivertest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// RoundTrip is a function that is an http.RoundTripper.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var (
	errRequestLost = errors.New("the request was lost")
	errAnswerLost  = errors.New("the answer was lost")
)

// changes reports whether a request is to change something.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Query().Get("dryRun") == ""
}

// Whole lets every request that changes something come to its end, so that nothing arrives at
// the server after its call was given up.
func Whole(next http.RoundTripper) http.RoundTripper {
	return RoundTrip(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		if changes(r) {
			r = r.WithContext(context.WithoutCancel(r.Context()))
		}
		return next.RoundTrip(r)
	})
}

// Lossy are the Troubles of a driver that calls a server over HTTP: open makes it, with what
// stands between it and the server. Requests that change something are lost, or their answers;
// the server is slow; or it does part of what it is asked and then is not there any more.
func Lossy(open func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) driver.Driver) map[string]func(t *testing.T) (driver.Driver, func()) {
	all := map[string]func(t *testing.T) (driver.Driver, func()){}
	add := func(name string, what func(n int64, r *http.Request, next http.RoundTripper) (*http.Response, error)) {
		all[name] = func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			var n atomic.Int64
			return open(t, func(next http.RoundTripper) http.RoundTripper {
				whole := Whole(next)
				return RoundTrip(func(r *http.Request) (*http.Response, error) {
					count := n.Load()
					if changes(r) {
						count = n.Add(1)
					}
					return what(count, r, whole)
				})
			}), func() {}
		}
	}
	drop := func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
			err = errAnswerLost
		}
		return nil, err
	}
	add("answers are lost", func(n int64, r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if changes(r) && n%2 == 0 {
			return drop(r, next)
		}
		return next.RoundTrip(r)
	})
	add("requests are lost", func(n int64, r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if changes(r) && n%3 == 0 {
			return nil, errRequestLost
		}
		return next.RoundTrip(r)
	})
	add("the server is slow", func(_ int64, r *http.Request, next http.RoundTripper) (*http.Response, error) {
		<-time.After(slowness / 10)
		return next.RoundTrip(r)
	})
	for _, after := range []int64{2, 4, 6} {
		add("the server is gone after part of it, "+strconv.FormatInt(after, 10), func(n int64, r *http.Request, next http.RoundTripper) (*http.Response, error) {
			switch {
			case n < after, n == after && !changes(r):
				return next.RoundTrip(r)
			case n == after:
				return drop(r, next)
			}
			return nil, errRequestLost
		})
	}
	return all
}
