package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// TestACheckThatCannotBeMadeIsRefusedAtItsPlace: each case changes one line of the
// example that uses everything; the error says file, line, column and field.
func TestACheckThatCannotBeMadeIsRefusedAtItsPlace(t *testing.T) {
	data, err := os.ReadFile("../../examples/procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"a header's name", "name: X-Powered-By,", `name: "X Powered",`, "services[0].checks[0].http.expect_headers[2].name"},
		{"nothing said of a header", "{name: X-Powered-By, present: false}", "{name: X-Powered-By}", "services[0].checks[0].http.expect_headers[2].expect"},
		{"a pointer that is a path", "pointer: /status,", "pointer: $.status,", "services[0].checks[0].http.expect_json[0].pointer"},
		{"bounds the wrong way around", "{min: 0, max: 1000}", "{min: 1001, max: 1000}", "services[0].checks[0].http.expect_json[1].range"},
		{"no bounds", "{min: 0, max: 1000}", "{}", "services[0].checks[0].http.expect_json[1].range"},
		{"a bound that is no number", "{min: 0, max: 1000}", "{max: NaN}", "services[0].checks[0].http.expect_json[1].range.max"},
		{"a name that is none", "name: www.shop.example\n          addresses", "name: WWW.shop.example.\n          addresses", "services[0].checks[3].dns.name"},
		{"an address that is none", "[192.0.2.10,", "[192.0.2.300,", "services[0].checks[3].dns.addresses[0]"},
		{"no address", `[192.0.2.10, "2001:db8::10"]`, "[]", "services[0].checks[3].dns.addresses"},
		{"a name of nobody", "name: www.shop.example # without", `name: "https://www.shop.example" # without`, "services[0].checks[4].tls.name"},
		{"a version that nobody knows", "VERSION_TLS_1_3", "VERSION_TLS_1_1", "services[0].checks[4].tls.min_version"},
		{"a service with a space", "service: shop.Checkout", `service: "shop Checkout"`, "services[0].checks[2].grpc.service"},
		{"a source at an address", "source: metrics\n          # The share", "source: \"http://prometheus\"\n          # The share", "services[0].checks[5].prometheus.source"},
		{"a placeholder of nobody", `target="{target}",code=~`, `target="{host}",code=~`, "services[0].checks[5].prometheus.query"},
		{"a bracket that is not closed", `target="{target}"}[2m]))`, `target="{target}"}[2m])`, "services[0].checks[5].prometheus.query"},
		{"too many steps", "step: 30s", "step: 1s", "services[0].checks[6].prometheus.step"},
		{"no step", "          step: 30s\n", "", "services[0].checks[6].prometheus"},
		{"more points than there are", "min_points: 10", "min_points: 40", "services[0].checks[6].prometheus.min_points"},
		{"fewer series than none", "max_series: 3", "max_series: 1", "services[0].checks[6].prometheus.min_series"},
		{"an age of a computation", `max_age_of: http_requests_total{`, `max_age_of: rate(http_requests_total{`, "services[0].checks[5].prometheus.max_age_of"},
		{"a baseline of nobody", "kind: KIND_UNCHANGED", "kind: KIND_UNSPECIFIED", "services[1].checks[0].prometheus.baseline.kind"},
		{"a window with too few values", "over: 30m # so far", "over: 10m # so far", "services[1].checks[0].prometheus.baseline.over"},
		{"values that share samples", `{target="{target}"}[1m]))`, `{target="{target}"}[2m]))`, "services[1].checks[0].prometheus.baseline.step"},
		{"a comparison of targets without their names", `rate(invoices_failed_total{target="{target}"}`, "rate(invoices_failed_total", "services[1].checks[0].prometheus.query"},
		{"so few values that none is ever worse", "min_samples: 12", "min_samples: 4", "services[1].checks[0].prometheus.baseline.min_samples"},
		{"an alpha of more than a half", "alpha: 0.01 #", "alpha: 0.6 #", "services[1].checks[0].prometheus.baseline.alpha"},
		{"slower than is waited for", "max_latency: 500ms", "max_latency: 2s", "services[0].checks[0].http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if n := strings.Count(string(data), test.old); n != 1 {
				t.Fatalf("%q is there %d times", test.old, n)
			}
			changed := strings.Replace(string(data), test.old, test.new, 1)
			_, err := policy.Parse([]byte(changed), "p.yaml")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "p.yaml:") {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}
