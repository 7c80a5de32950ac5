package alerts_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/alerts"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Answers as Prometheus 2 and 3, and Alertmanager 0.25 and later, give them.
const (
	prometheusAnswer = `{"status":"success","data":{"alerts":[
		{"labels":{"alertname":"ErrorRate","service":"shop","severity":"critical"},"annotations":{"summary":"too many errors"},"state":"firing","activeAt":"2026-11-28T09:00:00.123456789Z","value":"1.5e+00"},
		{"labels":{"alertname":"Latency","service":"shop","severity":"critical"},"annotations":{},"state":"pending","activeAt":"2026-11-28T09:30:00Z","value":"7e-01"},
		{"labels":{"alertname":"Disk","service":"billing","severity":"warning"},"annotations":{},"state":"firing","activeAt":"2026-11-28T08:00:00Z","value":"9e+01"}]}}`
	alertmanagerAnswer = `[
		{"annotations":{"summary":"too many errors"},"endsAt":"2026-11-28T10:05:00.000Z","fingerprint":"a1","receivers":[{"name":"sre"}],"startsAt":"2026-11-28T09:00:00.000Z","status":{"inhibitedBy":[],"silencedBy":[],"state":"active"},"updatedAt":"2026-11-28T10:00:00.000Z","generatorURL":"http://prometheus/graph","labels":{"alertname":"ErrorRate","service":"shop","severity":"critical"}},
		{"annotations":{},"endsAt":"2026-11-28T10:05:00.000Z","fingerprint":"b2","receivers":[],"startsAt":"2026-11-28T07:00:00.000Z","status":{"inhibitedBy":[],"silencedBy":["x"],"state":"suppressed"},"updatedAt":"2026-11-28T10:00:00.000Z","labels":{"alertname":"Silenced","service":"shop"}}]`
)

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

func source(t *testing.T, kind configv1.AlertSource_Kind, url string) *alerts.Source {
	t.Helper()
	s, err := alerts.New(alerts.Config{Kind: kind, URL: url, Token: "secret", Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestActiveAlertsAreThoseThatFire(t *testing.T) {
	for _, test := range []struct {
		kind         configv1.AlertSource_Kind
		path, answer string
		want         []string
	}{
		{configv1.AlertSource_KIND_PROMETHEUS, "/prefix/api/v1/alerts", prometheusAnswer, []string{"ErrorRate", "Disk"}},
		{configv1.AlertSource_KIND_ALERTMANAGER, "/prefix/api/v2/alerts", alertmanagerAnswer, []string{"ErrorRate"}},
		{configv1.AlertSource_KIND_PROMETHEUS, "/prefix/api/v1/alerts", `{"status":"success","data":{"alerts":[]}}`, nil},
		{configv1.AlertSource_KIND_ALERTMANAGER, "/prefix/api/v2/alerts", `[]`, nil},
	} {
		var asked *http.Request
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r
			_, _ = w.Write([]byte(test.answer))
		})
		all, err := source(t, test.kind, s.URL+"/prefix/").Active(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", test.kind, err)
		}
		var got []string
		for _, a := range all {
			got = append(got, a.Name())
		}
		if diff := cmp.Diff(test.want, got); diff != "" || asked.URL.Path != test.path || asked.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s %s (-want +got):\n%s", test.kind, asked.URL, diff)
		}
		if len(all) > 0 && !all[0].Starts.Truncate(time.Second).Equal(time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: starts %s", test.kind, all[0].Starts)
		}
	}
}

// TestWhatIsNoAnswerIsAnError has everything that must not be taken for "nothing fires".
func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	const (
		p = configv1.AlertSource_KIND_PROMETHEUS
		a = configv1.AlertSource_KIND_ALERTMANAGER
	)
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	elsewhere := serve(t, say(`[]`))
	for _, test := range []struct {
		name   string
		kind   configv1.AlertSource_Kind
		answer http.HandlerFunc
	}{
		{"an error of Prometheus", p, say(`{"status":"error","errorType":"internal","error":"tsdb"}`)},
		{"nothing", p, say(``)},
		{"another document", p, say(`{"status":"success","data":{"resultType":"vector","result":[]}}`)},
		{"an answer of the other kind", p, say(alertmanagerAnswer)},
		{"an answer of the other kind, the other way", a, say(prometheusAnswer)},
		{"null", a, say(`null`)},
		{"null of Prometheus", p, say(`{"status":"success","data":{"alerts":null}}`)},
		{"a state of a later version", p, say(`{"status":"success","data":{"alerts":[{"labels":{},"state":"smoldering","activeAt":"2026-11-28T09:00:00Z"}]}}`)},
		{"a year that UTC has not", a, say(`[{"labels":{},"startsAt":"9999-12-31T23:30:00-01:00","status":{"state":"active"}}]`)},
		{"a year before the first", p, say(`{"status":"success","data":{"alerts":[{"labels":{},"state":"firing","activeAt":"0000-12-31T23:30:00Z"}]}}`)},
		{"a page that asks for a password", a, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }},
		{"a page of a proxy", a, say(`<html>`)},
		{"a redirect", a, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }},
		{"more than anybody reads", a, say("[" + strings.Repeat(" ", 5<<20) + "]")},
		{"half an answer", a, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`[]`))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, err := source(t, test.kind, serve(t, test.answer).URL).Active(t.Context())
			if !errors.Is(err, alerts.ErrAsk) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
	gone := serve(t, say(`[]`))
	gone.Close()
	if _, err := source(t, a, gone.URL).Active(t.Context()); !errors.Is(err, alerts.ErrAsk) {
		t.Errorf("nobody listens: %v", err)
	}
	release := make(chan struct{})
	slow := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	s, err := alerts.New(alerts.Config{Kind: a, URL: slow.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Active(t.Context()); !errors.Is(err, alerts.ErrAsk) || !strings.Contains(err.Error(), "not in time") {
		t.Errorf("nobody answers: %v", err)
	}
	for _, url := range []string{"", "prometheus:9090", "ftp://prometheus", "http://user:secret@prometheus", "http://prometheus?query=up"} {
		if _, err := alerts.New(alerts.Config{Kind: p, URL: url}); !errors.Is(err, alerts.ErrURL) {
			t.Errorf("address %q: %v", url, err)
		}
	}
}

func TestAlertsMatchByTheirLabels(t *testing.T) {
	all := []alerts.Alert{
		{Labels: map[string]string{"alertname": "New", "service": "shop", "severity": "critical"}, Starts: time.Unix(2, 0)},
		{Labels: map[string]string{"alertname": "Old", "service": "shop", "severity": "page"}, Starts: time.Unix(1, 0)},
		{Labels: map[string]string{"alertname": "Other", "service": "billing", "severity": "critical"}},
		{Labels: map[string]string{"alertname": "Nowhere", "severity": "warning"}},
	}
	isNot := func(label, value string) *policyv1.LabelMatcher {
		return &policyv1.LabelMatcher{Label: label, Value: &policyv1.LabelMatcher_IsNot{IsNot: value}}
	}
	matches := func(label, value string) *policyv1.LabelMatcher {
		return &policyv1.LabelMatcher{Label: label, Value: &policyv1.LabelMatcher_Matches{Matches: value}}
	}
	for _, test := range []struct {
		name     string
		matchers []*policyv1.LabelMatcher
		want     []string
	}{
		{"of this service, oldest first", []*policyv1.LabelMatcher{is("service", "{service}")}, []string{"Old", "New"}},
		{"and all of it", []*policyv1.LabelMatcher{is("service", "shop"), matches("severity", "crit.*")}, []string{"New"}},
		{"by the whole value", []*policyv1.LabelMatcher{matches("severity", "crit")}, nil},
		{"but", []*policyv1.LabelMatcher{isNot("service", "shop"), matches("severity", "critical|page")}, []string{"Other"}},
		{"without the label", []*policyv1.LabelMatcher{is("service", "")}, []string{"Nowhere"}},
	} {
		found, err := alerts.Matching(&policyv1.AlertRule{Matchers: test.matchers}, &releasev1.Request{Service: "shop"}, all)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range found {
			got = append(got, a.Name())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
