package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of Prometheus rules.
type ruleFile struct {
	Groups []struct {
		Rules []ruleEntry
	}
}

type ruleEntry struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// dashboard is what matters here of a Grafana dashboard.
type dashboard struct {
	Panels []struct {
		Type, Title, Description string
		Datasource               struct{ UID string }
		FieldConfig              struct {
			Defaults struct{ Unit string }
		}
		Targets []struct{ Expr string }
	}
	Annotations struct {
		List []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func monitoringRules(t *testing.T) []ruleEntry {
	t.Helper()
	var out []ruleEntry
	for _, name := range []string{"alerts", "rules"} {
		var file ruleFile
		if err := yaml.Unmarshal([]byte(readFile(t, "../deploy/monitoring/"+name+".yaml")), &file); err != nil {
			t.Fatal(err)
		}
		for _, g := range file.Groups {
			out = append(out, g.Rules...)
		}
	}
	if len(out) == 0 {
		t.Fatal("no rules were read")
	}
	return out
}

// monitoringExpressions returns every PromQL expression by where it stands.
func monitoringExpressions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range monitoringRules(t) {
		out["rule "+r.Record+r.Alert] = r.Expr
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for i, target := range p.Targets {
			out[fmt.Sprintf("dashboard, panel %s, query %d", p.Title, i)] = target.Expr
		}
	}
	for i, a := range d.Annotations.List {
		out[fmt.Sprintf("dashboard, annotation %d", i)] = a.Expr
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			inner := strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")")
			expr, _, _ := strings.Cut(inner, ", ")
			out["dashboard, variable "+v.Name] = expr
		}
	}
	return out
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, "../deploy/dashboards/shipwarden.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
