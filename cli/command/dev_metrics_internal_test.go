package command

import (
	"strings"
	"testing"
)

func TestSourcesOfMetricsForDev(t *testing.T) {
	good, err := devOptions{metrics: []string{"metrics=http://127.0.0.1:9090/sub", "more=http://localhost:9091"}}.metricSources()
	if err != nil || len(good) != 2 || good[0].GetName() != "metrics" || good[0].GetUrl() != "http://127.0.0.1:9090/sub" {
		t.Errorf("%v, %v", good, err)
	}
	for want, given := range map[string][]string{
		"--metrics http://a:9090: must be NAME=URL":           {"http://a:9090"},
		"--metrics p=a:9090: metric_sources[0].url: scheme":   {"p=a:9090"},
		"--metrics p=http://b:9090: p is there already":       {"p=http://a:9090", "p=http://b:9090"},
		"--metrics p=http://169.254.169.254: metric_sources[": {"p=http://169.254.169.254"},
	} {
		if _, err := (devOptions{metrics: given}).metricSources(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSourcesOfLogsForDev(t *testing.T) {
	// A log may have the name that a source of metrics has.
	o := devOptions{metrics: []string{"loki=http://127.0.0.1:9090"}, logs: []string{"loki=http://127.0.0.1:3100/tenant"}}
	good, err := o.logSources()
	if err != nil || len(good) != 1 || good[0].GetName() != "loki" || good[0].GetUrl() != "http://127.0.0.1:3100/tenant" {
		t.Errorf("%v, %v", good, err)
	}
	for want, given := range map[string][]string{
		"--logs http://a:3100: must be NAME=URL":        {"http://a:3100"},
		"--logs l=a:3100: log_sources[0].url: scheme":   {"l=a:3100"},
		"--logs l=http://b:3100: l is there already":    {"l=http://a:3100", "l=http://b:3100"},
		"--logs l=http://169.254.169.254: log_sources[": {"l=http://169.254.169.254"},
	} {
		if _, err := (devOptions{logs: given}).logSources(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
