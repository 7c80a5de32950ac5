package exemplar_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/blackdice/shipwarden/internal/exemplar"
)

// TestTheReleaseIsAnExemplarAndNoLabel asks as a Prometheus does that knows OpenMetrics.
func TestTheReleaseIsAnExemplarAndNoLabel(t *testing.T) {
	for release, shown := range map[string]bool{
		"shop-k7q2m3xw5d8ta4bc": true, "": false, strings.Repeat("r", 121): true, strings.Repeat("r", 122): false, "\xff": false,
	} {
		registry := prometheus.NewRegistry()
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x_seconds", Help: "X.", Buckets: []float64{1}})
		registry.MustRegister(h)
		exemplar.Observe(h, 0.5, release)
		request, answer := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
		request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(answer, request)
		page := answer.Body.String()
		if !strings.Contains(page, "x_seconds_count 1\n") {
			t.Errorf("%q: it is not observed:\n%s", release, page)
		}
		if got := strings.Contains(page, `x_seconds_bucket{le="1.0"} 1 # {release="`+release+`"} 0.5`); got != shown {
			t.Errorf("%q: exemplar %t, want %t:\n%s", release, got, shown, page)
		}
		if strings.Contains(page, `{release="`+release+`",`) {
			t.Errorf("%q is a label:\n%s", release, page)
		}
	}
}

func TestTheReleaseOfASubject(t *testing.T) {
	for subject, want := range map[string]string{
		"rel.shop-1.approval.requested": "shop-1", "rel.shop-1": "", "tgt.shop-1.executor.target_locked": "", "request.production.shop": "", "": "",
	} {
		if got := exemplar.Of(subject); got != want {
			t.Errorf("%q: %q, want %q", subject, got, want)
		}
	}
}
