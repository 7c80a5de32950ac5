package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const runbooks = "https://github.com/blackdice/shipwarden/blob/main/docs/runbooks/"

func TestMonitoringUsesOnlyMetricsThatTheCodeRegisters(t *testing.T) {
	known := registeredMetrics(t)
	for _, r := range monitoringRules(t) {
		if r.Record != "" {
			known[r.Record] = metric{recorded: true}
		}
	}
	used := 0
	for where, expr := range monitoringExpressions(t) {
		for _, u := range metricsIn(expr) {
			used++
			if problem := u.check(known); problem != "" {
				t.Errorf("%s: %s", where, problem)
			}
		}
	}
	if used < 40 {
		t.Errorf("found %d uses of metrics only: the search is broken", used)
	}
}

func TestEveryAlertTellsAPersonWhatToDo(t *testing.T) {
	tests := readFile(t, "../deploy/monitoring/tests/alerts_test.yaml")
	pages := map[string]bool{}
	for _, r := range monitoringRules(t) {
		if r.Alert == "" {
			continue
		}
		pages[r.Alert+".md"] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		for _, name := range []string{"summary", "description"} {
			if !strings.HasSuffix(r.Annotations[name], ".") {
				t.Errorf("%s: the %s is no sentence: %q", r.Alert, name, r.Annotations[name])
			}
		}
		if want := runbooks + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		page := readFile(t, "../docs/runbooks/"+r.Alert+".md")
		for _, heading := range []string{"# " + r.Alert + "\n", "\n## What it means\n", "\n## What to do first\n", "\n## How to look further\n"} {
			if !strings.Contains(page, heading) {
				t.Errorf("docs/runbooks/%s.md lacks the heading %q", r.Alert, strings.TrimSpace(heading))
			}
		}
		quiet := strings.Count(tests, "{alertname: "+r.Alert+", eval_time: 50m, exp_alerts: []}")
		fires := strings.Count(tests, "- alertname: "+r.Alert+"\n")
		if quiet == 0 || fires == 0 {
			t.Errorf("%s: the tests let it keep quiet %d times and fire %d times", r.Alert, quiet, fires)
		}
	}
	found, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := filepath.Base(path); !pages[name] && name != "README.md" {
			t.Errorf("docs/runbooks/%s belongs to no alert", name)
		}
	}
}

func TestEveryRecordingRuleIsTested(t *testing.T) {
	tests := readFile(t, "../deploy/monitoring/tests/rules_test.yaml")
	for _, r := range monitoringRules(t) {
		if r.Record != "" && !strings.Contains(tests, "- expr: "+r.Record+"\n") {
			t.Errorf("no test of %s", r.Record)
		}
	}
}

func TestTheDashboardFitsEveryPrometheus(t *testing.T) {
	d := readDashboard(t)
	titles := map[string]bool{}
	for _, p := range d.Panels {
		if titles[p.Title] || p.Title == "" {
			t.Errorf("panel %q: the title is missing or taken", p.Title)
		}
		titles[p.Title] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a description, a unit or a query", p.Title)
		}
		if p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q is bound to the data source %q", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			rated := regexp.MustCompile(`\b(rate|increase)\(`).MatchString(target.Expr)
			if rated != strings.Contains(target.Expr, "[$__rate_interval]") {
				t.Errorf("panel %q takes a rate over a fixed time: %s", p.Title, target.Expr)
			}
			if !strings.Contains(target.Expr, ":") && !strings.Contains(target.Expr, `job=~"$job"`) {
				t.Errorf("panel %q mixes installations: %s", p.Title, target.Expr)
			}
		}
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Equal(variables, []string{"datasource", "job", "step"}) {
		t.Errorf("variables %v", variables)
	}
}

func TestTheSearchForMetricsFindsWhatIsWrong(t *testing.T) {
	known := map[string]metric{
		"a_total":   {labels: []string{"step"}},
		"b_seconds": {histogram: true},
		"x:y:rate":  {recorded: true},
	}
	tests := []struct{ expr, want string }{
		{`sum by (step) (rate(a_total{step="s", job=~"j"}[5m])) > 0`, ""},
		{`histogram_quantile(0.5, sum by (step, le) (rate(b_seconds_bucket[5m]))) or vector(0)`, ""},
		{`x:y:rate unless on (job) x:y:rate offset 1h`, ""},
		{`a_total{stop="s"}`, "a_total has no label stop"},
		{`a_totals > 1`, "nothing registers a_totals"},
		{`sum(b_seconds)`, "nothing registers b_seconds: it is a histogram"},
		{`rate(a_total_bucket[5m])`, "nothing registers a_total_bucket"},
		{`a_total and b_total{le="1"}`, "nothing registers b_total"},
		{`x:y:ratio`, "nothing registers x:y:ratio"},
	}
	for _, tt := range tests {
		var got []string
		for _, u := range metricsIn(tt.expr) {
			if problem := u.check(known); problem != "" {
				got = append(got, problem)
			}
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.expr, got, tt.want)
		}
	}
}
