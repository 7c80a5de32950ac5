package e2e

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	shell "github.com/blackdice/shipwarden/internal/service"
)

// metric is one that the code registers.
type metric struct {
	labels    []string
	histogram bool
	// recorded is one that a rule records; its labels are the rule's affair.
	recorded bool
}

// use is a metric in an expression, with the labels that are matched.
type use struct {
	name   string
	labels []string
}

// targetLabels are those that Prometheus and Grafana add.
var targetLabels = []string{"job", "instance", "namespace", "pod", "le"}

func (u use) check(known map[string]metric) string {
	m, found := known[u.name]
	if !found {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(u.name, suffix); cut && known[base].histogram {
				m, found = known[base], true
			}
		}
	} else if m.histogram {
		return "nothing registers " + u.name + ": it is a histogram"
	}
	if !found {
		return "nothing registers " + u.name
	}
	for _, label := range u.labels {
		if !m.recorded && !slices.Contains(m.labels, label) && !slices.Contains(targetLabels, label) {
			return u.name + " has no label " + label
		}
	}
	return ""
}

var (
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grouping  = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	brackets  = regexp.MustCompile(`\[[^\]]*\]`)
	offset    = regexp.MustCompile(`\boffset\s+\w+`)
	named     = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\}|\()?`)
	matched   = regexp.MustCompile(`([a-zA-Z_]\w*)\s*(?:=|!)`)
	operators = []string{"and", "or", "unless", "bool"}
)

// metricsIn finds the metrics of a PromQL expression: names that are no function,
// no operator and no label.
func metricsIn(expr string) []use {
	for _, drop := range []*regexp.Regexp{quoted, grouping, brackets, offset} {
		expr = drop.ReplaceAllString(expr, " ")
	}
	var out []use
	for _, m := range named.FindAllStringSubmatch(expr, -1) {
		if m[2] == "(" || slices.Contains(operators, m[1]) {
			continue
		}
		u := use{name: m[1]}
		for _, label := range matched.FindAllStringSubmatch(m[2], -1) {
			u.labels = append(u.labels, label[1])
		}
		out = append(out, u)
	}
	return out
}

// registeredMetrics returns what a running service has: the metrics that our code
// names, and those of the libraries, which a server of our own shows.
func registeredMetrics(t *testing.T) map[string]metric {
	t.Helper()
	out := map[string]metric{"up": {}}
	for _, dir := range []string{"../internal", "../services"} {
		maps.Copy(out, metricsOfSource(t, dir))
	}
	registry := shell.NewRegistry("approval")
	callOnce(t, shell.GRPCConfig{Listen: "127.0.0.1:0", Registry: registry, Health: &shell.Health{}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		m := metric{histogram: f.GetType().String() == "HISTOGRAM"}
		for _, label := range f.GetMetric()[0].GetLabel() {
			m.labels = append(m.labels, label.GetName())
		}
		out[f.GetName()] = m
	}
	return out
}

// callOnce serves gRPC and calls it: a library's metrics appear with the first call.
func callOnce(t *testing.T, cfg shell.GRPCConfig) {
	t.Helper()
	server, err := shell.NewGRPCServer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	conn, err := grpc.NewClient(server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
