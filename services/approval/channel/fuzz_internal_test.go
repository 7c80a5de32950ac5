package channel

import (
	"net/http"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzStatus has receivers that answer a notice with anything: what they say never makes
// it wait for less than nothing, and nothing but 2xx is taken for delivered.
func FuzzStatus(f *testing.F) {
	shaketest.Add(f, 429, "120")
	shaketest.Add(f, 503, "Wed, 02 Dec 2026 07:28:00 GMT")
	shaketest.Add(f, 200, "-1")
	shaketest.Add(f, 302, "99999999999999999999")
	w := &web{now: func() time.Time { return time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) }}
	f.Fuzz(func(t *testing.T, code int, after string) {
		a := w.status(&http.Response{StatusCode: code, Header: http.Header{"Retry-After": {after}}})
		if a.after < 0 || a.delivered != (code >= 200 && code < 300) || a.delivered && a.again {
			t.Errorf("%+v", a)
		}
	})
}
