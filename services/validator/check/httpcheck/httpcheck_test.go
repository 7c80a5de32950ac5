package httpcheck_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/target"
)

func TestProbe(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"status":"up","key":"s3cret"}`) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://sso.example/", http.StatusFound)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusMovedPermanently) })
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", target.MaxBody+1))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	dead := httptest.NewServer(nil)
	dead.Close()

	status := func(s uint32) *uint32 { return &s }
	tests := []struct {
		name, base string
		probe      *releasev1.HttpProbe
		want       check.Outcome
		detail     string
	}{
		{"a page", server.URL, &releasev1.HttpProbe{Path: "/ok"}, check.Passed, "status 200"},
		{"a page with the expected text", server.URL, &releasev1.HttpProbe{Path: "/ok", ExpectBody: `"status":"up"`}, check.Passed, "sha256:"},
		{"a page without it", server.URL, &releasev1.HttpProbe{Path: "/ok", ExpectBody: `"status":"ready"`}, check.Failed, "expected text is missing"},
		{"the wrong status", server.URL, &releasev1.HttpProbe{Path: "/down"}, check.Failed, "status 503, expected 200"},
		{"another status that is expected", server.URL, &releasev1.HttpProbe{Path: "/down", ExpectStatus: status(503)}, check.Passed, "status 503"},
		{"no such page", server.URL, &releasev1.HttpProbe{Path: "/nowhere"}, check.Failed, "status 404"},
		{"a redirect on the same host", server.URL, &releasev1.HttpProbe{Path: "/moved"}, check.Passed, "status 200"},
		{"a redirect to another host", server.URL, &releasev1.HttpProbe{Path: "/login"}, check.Error, "redirect refused"},
		{"a redirect that is expected", server.URL, &releasev1.HttpProbe{Path: "/login", ExpectStatus: status(302)}, check.Passed, "status 302"},
		{"silence", server.URL, &releasev1.HttpProbe{Path: "/silent", Timeout: durationpb.New(50 * time.Millisecond)}, check.Failed, "deadline exceeded"},
		{"too much", server.URL, &releasev1.HttpProbe{Path: "/huge"}, check.Error, "larger than"},
		{"nobody there", dead.URL, &releasev1.HttpProbe{Path: "/ok"}, check.Failed, "connection refused"},
		{"a path to another host", server.URL, &releasev1.HttpProbe{Path: "//evil.example/ok"}, check.Error, "two slashes"},
		{"no base URL", "", &releasev1.HttpProbe{Path: "/ok"}, check.Error, "no base_url"},
		{"a check of another kind", server.URL, nil, check.Error, "does not begin with a slash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &releasev1.Check{Name: "health"}
			if tt.probe != nil {
				c.Probe = &releasev1.Check_Http{Http: tt.probe}
			}
			got := httpcheck.Prober{}.Probe(t.Context(), at(t, tt.base), c)
			if got.Outcome != tt.want || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, tt.want, tt.detail)
			}
			if strings.Contains(got.Detail, "s3cret") {
				t.Errorf("the body is in the detail: %q", got.Detail)
			}
		})
	}
}

// service is an application that can be made sick, and can be exchanged.
type service struct {
	digest  atomic.Value
	healthy atomic.Bool
	// sickAfter makes it sick by itself after so many answers; zero means never.
	sickAfter, answered atomic.Int32
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		io.WriteString(w, `{"digest":"`+s.digest.Load().(string)+`"}`)
		return
	}
	after := s.sickAfter.Load()
	if !s.healthy.Load() || (after > 0 && s.answered.Add(1) > after) {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// TestBakeOverTheWire lets a bake look at a real service.
func TestBakeOverTheWire(t *testing.T) {
	approved, other := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	tests := []struct {
		name  string
		setup func(*service)
		want  releasev1.CheckResult_Verdict
	}{
		{"a good release passes", func(*service) {}, releasev1.CheckResult_VERDICT_PASS},
		{"a sick one fails", func(s *service) { s.healthy.Store(false) }, releasev1.CheckResult_VERDICT_FAIL},
		{"one that falls sick fails", func(s *service) { s.sickAfter.Store(1) }, releasev1.CheckResult_VERDICT_FAIL},
		{"a healthy one that is another one fails", func(s *service) { s.digest.Store(other) }, releasev1.CheckResult_VERDICT_FAIL},
		{"one that does not tell is inconclusive", func(s *service) { s.digest.Store("") }, releasev1.CheckResult_VERDICT_INCONCLUSIVE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &service{}
			s.healthy.Store(true)
			s.digest.Store(approved)
			tt.setup(s)
			server := httptest.NewServer(s)
			defer server.Close()
			report, err := check.Bake{Probers: map[string]check.Prober{"http": httpcheck.Prober{}}}.Run(t.Context(), check.Plan{
				Subjects: []check.Subject{{Target: at(t, server.URL), Digest: approved}},
				Checks: []*releasev1.Check{{
					Name: "health", MaxConsecutiveFailures: proto.Uint32(2),
					Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/health"}},
				}},
				Bake: 250 * time.Millisecond, Interval: 50 * time.Millisecond,
			})
			if err != nil || report.Verdict != tt.want {
				t.Errorf("%v, %v: %s, want %v", report.Verdict, err, report.Verification.GetReason(), tt.want)
			}
		})
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &releasev1.Check{Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/"}}}
	if got := (httpcheck.Prober{}).Probe(ctx, at(t, server.URL), c); got.Outcome != check.Error {
		t.Errorf("Probe = %v %q, want an error", got.Outcome, got.Detail)
	}
}

func at(t *testing.T, base string) *target.Target {
	t.Helper()
	c := &configv1.TargetAddress{Target: "eu1", BaseUrl: base}
	if base != "" {
		c.DigestPath = "/version"
	}
	looked, err := target.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return looked
}
