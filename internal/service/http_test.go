package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/service"
)

// serve runs an HTTP server until the test ends and returns its base URL.
func serve(t *testing.T, health *service.Health) string {
	t.Helper()
	server, err := service.NewHTTPServer(t.Context(), "127.0.0.1:0", service.NewRegistry("test"), health)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ends with %v", err)
		}
	})
	return "http://" + server.Addr()
}

func get(t *testing.T, url, accept string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func TestReadinessFollowsItsChecksAndLivenessDoesNot(t *testing.T) {
	var health service.Health
	var broken atomic.Bool
	health.Add("nats", func(context.Context) error { return nil })
	health.Add("database", func(context.Context) error {
		if broken.Load() {
			return errors.New("nobody answers")
		}
		return nil
	})
	url := serve(t, &health)
	expect := func(when string, status int, body string) {
		t.Helper()
		if got, text, _ := get(t, url+"/readyz", ""); got != status || text != body {
			t.Errorf("%s: readyz answers %d %q, want %d %q", when, got, text, status, body)
		}
		if got, _, _ := get(t, url+"/healthz", ""); got != http.StatusOK {
			t.Errorf("%s: healthz answers %d", when, got)
		}
	}
	expect("at first", 200, "[+] database\n[+] nats\n")
	broken.Store(true)
	expect("broken", 503, "[-] database: nobody answers\n[+] nats\n")
	broken.Store(false)
	expect("mended", 200, "[+] database\n[+] nats\n")
	health.Drain()
	expect("draining", 503, "[+] database\n[+] nats\n[-] drain: service is draining\n")
	if err := health.Ready(t.Context()); !errors.Is(err, service.ErrNotReady) || !errors.Is(err, service.ErrDraining) {
		t.Errorf("Ready returns %v", err)
	}
}

func TestMetricsComeInBothFormatsAndNameTheBuild(t *testing.T) {
	url := serve(t, &service.Health{})
	_, text, header := get(t, url+"/metrics", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("OpenMetrics was asked for and %s given", header.Get("Content-Type"))
	}
	_, text, _ = get(t, url+"/metrics", "")
	if !strings.Contains(text, `shipwarden_build_info{goversion="go1.`) || !strings.Contains(text, `service="test"`) {
		t.Errorf("no build information in:\n%s", text)
	}
}

func TestTheMetricsOfEveryServiceAreWellNamed(t *testing.T) {
	problems, err := testutil.GatherAndLint(service.NewRegistry("test"), "shipwarden_build_info")
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Errorf("promlint: %v", problems)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	url := serve(t, &service.Health{})
	for _, path := range []string{"/", "/debug/pprof/", "/debug/vars", "/metrics/", "/healthz/x"} {
		if status, _, _ := get(t, url+path, ""); status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, status)
		}
	}
	response, err := http.Post(url+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST answers %d", response.StatusCode)
	}
}

func TestATakenAddressIsAnErrorAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	registry := service.NewRegistry("test")
	if _, err := service.NewHTTPServer(t.Context(), address, registry, &service.Health{}); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("HTTP: got %v, want an error naming %s", err, address)
	}
	_, err = service.NewGRPCServer(t.Context(), service.GRPCConfig{Listen: address, Registry: registry, Health: &service.Health{}})
	if err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("gRPC: got %v, want an error naming %s", err, address)
	}
}
