package httpcheck_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
)

const page = `{"status":"up","token":"s3cret","ready":true,"none":null,"queue":{"depth":7,"a/b":1},"list":[10,{"n":2.5}],"huge":1e999}`

// site answers with a page that has all kinds of values, and with headers.
func site(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Vary", "Cookie")
		w.Header().Set("Set-Cookie", "session=s3cret")
		io.WriteString(w, page)
	})
	mux.HandleFunc("/twice", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"status":"down","status":"up"}`) })
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestHeadersAndValuesOfAnAnswer(t *testing.T) {
	base := site(t)
	equals := func(name, value string) *releasev1.ExpectedHeader {
		return &releasev1.ExpectedHeader{Name: name, Expect: &releasev1.ExpectedHeader_Equals{Equals: value}}
	}
	holds := func(name, value string) *releasev1.ExpectedHeader {
		return &releasev1.ExpectedHeader{Name: name, Expect: &releasev1.ExpectedHeader_Contains{Contains: value}}
	}
	there := func(name string, present bool) *releasev1.ExpectedHeader {
		return &releasev1.ExpectedHeader{Name: name, Expect: &releasev1.ExpectedHeader_Present{Present: present}}
	}
	text := func(at, s string) *releasev1.ExpectedJson {
		return &releasev1.ExpectedJson{Pointer: at, Expect: &releasev1.ExpectedJson_Text{Text: s}}
	}
	number := func(at string, n float64) *releasev1.ExpectedJson {
		return &releasev1.ExpectedJson{Pointer: at, Expect: &releasev1.ExpectedJson_Number{Number: n}}
	}
	truth := func(at string, b bool) *releasev1.ExpectedJson {
		return &releasev1.ExpectedJson{Pointer: at, Expect: &releasev1.ExpectedJson_Truth{Truth: b}}
	}
	within := func(at string, least, most float64) *releasev1.ExpectedJson {
		return &releasev1.ExpectedJson{Pointer: at, Expect: &releasev1.ExpectedJson_Range{Range: &releasev1.NumberRange{Min: &least, Max: &most}}}
	}
	found := func(at string, present bool) *releasev1.ExpectedJson {
		return &releasev1.ExpectedJson{Pointer: at, Expect: &releasev1.ExpectedJson_Present{Present: present}}
	}
	for _, test := range []struct {
		name, path string
		header     *releasev1.ExpectedHeader
		value      *releasev1.ExpectedJson
		want       check.Outcome
		detail     string
	}{
		{name: "a header that is right", header: equals("x-frame-options", "DENY"), want: check.Passed},
		{name: "a header that is wrong", header: equals("X-Frame-Options", "SAMEORIGIN"), want: check.Failed, detail: "X-Frame-Options is not as expected"},
		{name: "a header that only holds it", header: equals("X-Frame-Options", "DEN"), want: check.Failed, detail: "not as expected"},
		{name: "a header of two lines", header: equals("Vary", "Accept, Cookie"), want: check.Passed},
		{name: "one of its lines", header: equals("Vary", "Accept"), want: check.Failed, detail: "not as expected"},
		{name: "what a header holds", header: holds("Vary", "Cookie"), want: check.Passed},
		{name: "what it does not hold", header: holds("Vary", "Origin"), want: check.Failed, detail: "not as expected"},
		{name: "a header that is missing", header: holds("Strict-Transport-Security", "max-age"), want: check.Failed, detail: "is missing"},
		{name: "a header that is there", header: there("Set-Cookie", true), want: check.Passed},
		{name: "a header that is not to be there", header: there("Set-Cookie", false), want: check.Failed, detail: "Set-Cookie is there"},
		{name: "a header that is to be there", header: there("X-None", true), want: check.Failed, detail: "is missing"},
		{name: "a header that rightly is not there", header: there("X-None", false), want: check.Passed},
		{name: "a header of which nobody says what it must be", header: &releasev1.ExpectedHeader{Name: "Vary"}, want: check.Failed, detail: "not as expected"},

		{name: "a text", value: text("/status", "up"), want: check.Passed},
		{name: "a text that is not there", value: text("/nowhere", ""), want: check.Failed, detail: "is missing"},
		{name: "another text", value: text("/token", "up"), want: check.Failed, detail: "is not as expected"},
		{name: "a text that is a number", value: text("/queue/depth", "7"), want: check.Failed, detail: "is not as expected"},
		{name: "a number", value: number("/list/1/n", 2.5), want: check.Passed, detail: "'/list/1/n' 2.5"},
		{name: "another number", value: number("/list/0", 11), want: check.Failed, detail: "is 10, expected 11"},
		{name: "a truth", value: truth("/ready", true), want: check.Passed},
		{name: "no truth", value: truth("/ready", false), want: check.Failed, detail: "not as expected"},
		{name: "a number within bounds", value: within("/queue/depth", 0, 7), want: check.Passed, detail: "'/queue/depth' 7"},
		{name: "a number beyond them", value: within("/queue/depth", 8, 9), want: check.Failed, detail: "is 7, expected at least 8 and at most 9"},
		{name: "a text where a number belongs", value: within("/token", 0, 9), want: check.Failed, detail: "is no number"},
		{name: "null where a number belongs", value: within("/none", 0, 9), want: check.Failed, detail: "is no number"},
		{name: "a number that is infinite when read", value: within("/huge", 0, 9), want: check.Failed, detail: "too large"},
		{name: "a name with a slash", value: number("/queue/a~1b", 1), want: check.Passed},
		{name: "an index beyond the list", value: found("/list/2", true), want: check.Failed, detail: "is missing"},
		{name: "the end of a list is nothing", value: found("/list/-", true), want: check.Failed, detail: "is missing"},
		{name: "into a text", value: found("/status/0", true), want: check.Failed, detail: "is missing"},
		{name: "null is there", value: found("/none", true), want: check.Passed},
		{name: "what is not to be there", value: found("/token", false), want: check.Failed, detail: "is there"},
		{name: "what rightly is not there", value: found("/debug", false), want: check.Passed},
		{name: "the whole document", value: found("", true), want: check.Passed},
		{name: "a place that is none", value: found("status", true), want: check.Failed, detail: "is missing"},
		{name: "a value of which nobody says what it must be", value: &releasev1.ExpectedJson{Pointer: "/status"}, want: check.Failed, detail: "not as expected"},
		{name: "a name twice, of which one is right", path: "/twice", value: text("/status", "up"), want: check.Failed, detail: "not JSON"},
		{name: "no JSON", path: "/text", value: found("/debug", false), want: check.Failed, detail: "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			probe := &releasev1.HttpProbe{Path: "/json"}
			if test.path != "" {
				probe.Path = test.path
			}
			if test.header != nil {
				probe.ExpectHeaders = append(probe.ExpectHeaders, test.header)
			}
			if test.value != nil {
				probe.ExpectJson = append(probe.ExpectJson, test.value)
			}
			got := httpcheck.Prober{}.Probe(t.Context(), at(t, base), &releasev1.Check{Probe: &releasev1.Check_Http{Http: probe}})
			if detail := strings.ReplaceAll(got.Detail, `"`, `'`); got.Outcome != test.want || !strings.Contains(detail, test.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, test.want, test.detail)
			}
			if strings.Contains(got.Detail, "s3cret") {
				t.Errorf("the answer is in the detail: %q", got.Detail)
			}
		})
	}
}

// TestASlowAnswerIsAFailedSample: whatever it says. The clock is the test's.
func TestASlowAnswerIsAFailedSample(t *testing.T) {
	var now, takes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { now.Add(takes.Load()) }))
	defer server.Close()
	prober := httpcheck.Prober{Now: func() time.Time { return time.Unix(1, now.Load()) }}
	for _, test := range []struct {
		takes time.Duration
		want  check.Outcome
	}{{300 * time.Millisecond, check.Passed}, {301 * time.Millisecond, check.Failed}} {
		takes.Store(int64(test.takes))
		c := &releasev1.Check{Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/", MaxLatency: durationpb.New(300 * time.Millisecond)}}}
		got := prober.Probe(t.Context(), at(t, server.URL), c)
		if got.Outcome != test.want || (test.want == check.Failed && !strings.HasPrefix(got.Detail, "answered after 301ms, expected within 300ms")) {
			t.Errorf("%v: %v %q", test.takes, got.Outcome, got.Detail)
		}
	}
}
