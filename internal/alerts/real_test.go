package alerts_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/promtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// patience bounds how long a server may take to say what it was told.
const patience = 60 * time.Second

// says waits until a source names these alerts and no others.
func says(t *testing.T, s *alerts.Source, want ...string) []alerts.Alert {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		all, err := s.Active(ctx)
		var got []string
		for _, a := range all {
			got = append(got, a.Name())
		}
		if slices.Sort(got); err == nil && slices.Equal(got, want) {
			return all
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it names %q, %v, want %q", got, err, want)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestARealPrometheusIsAsked: what fires holds a release, and neither what may come to fire
// nor what does not.
func TestARealPrometheusIsAsked(t *testing.T) {
	server := promtest.Start(t, `groups:
  - name: shop
    rules:
      - {alert: ErrorRate, expr: vector(1) > 0, labels: {service: shop, severity: critical}}
      - {alert: Disk, expr: "errors_total{service='billing'} > 5", labels: {severity: warning}}
      - {alert: Latency, expr: vector(1) > 0, for: 1h, labels: {service: shop}}
      - {alert: Queue, expr: vector(0) > 0, labels: {service: shop}}
`)
	s := source(t, configv1.AlertSource_KIND_PROMETHEUS, server.URL)
	before := time.Now()
	all := says(t, s, "ErrorRate")
	if diff := cmp.Diff(map[string]string{"alertname": "ErrorRate", "service": "shop", "severity": "critical"}, all[0].Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if since := all[0].Starts; since.Before(before.Add(-time.Hour)) || since.After(time.Now().Add(time.Minute)) {
		t.Errorf("it fires since %s", since)
	}
	server.Write(t, map[string]string{"__name__": "errors_total", "service": "billing"}, promtest.Value{Time: time.Now(), Value: 9})
	says(t, s, "Disk", "ErrorRate")
}

// TestARealAlertmanagerIsAsked: what it was told holds a release, until it is over, silenced
// by somebody, or inhibited because something else is the cause.
func TestARealAlertmanagerIsAsked(t *testing.T) {
	server := promtest.StartAlertmanager(t)
	s := source(t, configv1.AlertSource_KIND_ALERTMANAGER, server.URL)
	says(t, s)
	began := time.Now().Add(-10 * time.Minute).UTC().Truncate(time.Second)
	fires := func(until time.Time, labels map[string]string) {
		t.Helper()
		server.Post(t, "/api/v2/alerts", []map[string]any{{
			"labels": labels, "annotations": map[string]string{"summary": "too many errors"}, "startsAt": began, "endsAt": until,
		}})
	}
	hour := time.Now().Add(time.Hour).UTC()
	fires(hour, map[string]string{"alertname": "ErrorRate", "service": "shop", "severity": "critical"})
	all := says(t, s, "ErrorRate")
	if all[0].Labels["service"] != "shop" || all[0].Labels["severity"] != "critical" || !all[0].Starts.Equal(began) {
		t.Errorf("it says %+v", all)
	}
	fires(hour, map[string]string{"alertname": "Disk", "service": "billing"})
	says(t, s, "Disk", "ErrorRate")

	server.Post(t, "/api/v2/silences", map[string]any{
		"matchers": []map[string]any{{"name": "alertname", "value": "Disk", "isRegex": false, "isEqual": true}},
		"startsAt": began, "endsAt": hour, "createdBy": "dave", "comment": "it is being replaced",
	})
	says(t, s, "ErrorRate")

	fires(hour, map[string]string{"alertname": "Latency", "service": "search", "effect": "yes"})
	says(t, s, "ErrorRate", "Latency")
	fires(hour, map[string]string{"alertname": "Network", "service": "search", "cause": "yes"})
	says(t, s, "ErrorRate", "Network")

	fires(time.Now().Add(-time.Second).UTC(), map[string]string{"alertname": "ErrorRate", "service": "shop", "severity": "critical"})
	says(t, s, "Network")
}
