package check_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// errorLines is a check of logs that allows for one line.
func errorLines() *releasev1.Check {
	return &releasev1.Check{Name: "logged", Probe: &releasev1.Check_Logs{Logs: &releasev1.LogProbe{
		Source: "logs", Selector: `{app="shop",target="{target}"}`,
		Lines: []*releasev1.LineFilter{{Filter: &releasev1.LineFilter_Contains{Contains: `"error"`}}},
		Range: &releasev1.NumberRange{Max: proto.Float64(1)}, Over: durationpb.New(time.Minute), Settle: durationpb.New(3 * time.Second),
	}}}
}

// said is the answer of one value at a time, none for "".
func said(at time.Time, value string) []metrics.Series {
	if value == "" {
		return nil
	}
	return []metrics.Series{{{Time: at, Value: value}}}
}

// countOf is what a source answered at a time about a change of some time before.
func countOf(p *releasev1.LogProbe, since, now time.Time, lines, flow []metrics.Series) *check.Counted {
	over := criterion.CountingOf(p, since, now)
	return &check.Counted{Asked: now, Window: over.Window.String(), FlowWindow: over.Flow.String(), Lines: check.CountOf(lines), Flow: check.CountOf(flow)}
}

// TestASilentLogIsNeverAPass: no errors are good only where there are logs; and only a number of
// lines outside of the bounds is a failure.
func TestASilentLogIsNeverAPass(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	since := now.Add(-20 * time.Second)
	p := errorLines().GetLogs()
	two := append(said(now, "1"), said(now, "1")...)
	for _, test := range []struct {
		name        string
		lines, flow []metrics.Series
		want        check.Outcome
		says        string
	}{
		{"no such line", nil, said(now, "7"), check.Passed, "0 lines in 20s"},
		{"none, as a number", said(now, "0"), said(now, "7"), check.Passed, "0 lines"},
		{"as many as may be", said(now, "1"), said(now, "7"), check.Passed, "1 lines"},
		{"one more", said(now, "2"), said(now, "7"), check.Failed, "2 lines in 20s, expected at most 1"},
		{"a silent log", nil, nil, check.Error, "the log is silent: no line of any kind in 20s"},
		{"a silent log, as a number", nil, said(now, "0"), check.Error, "the log is silent"},
		{"errors in a silent log", said(now, "9"), nil, check.Error, "the log is silent"},
		{"more than all", said(now, "9"), said(now, "8"), check.Error, "9 lines, of 8 in all"},
		{"no number", said(now, "NaN"), said(now, "7"), check.Error, "NaN is no number of lines"},
		{"all are no number", nil, said(now, "NaN"), check.Error, "all lines: NaN"},
		{"all are infinite", nil, said(now, "+Inf"), check.Error, "all lines: +Inf"},
		{"half a line", said(now, "0.5"), said(now, "7"), check.Error, "0.5 is no number"},
		{"fewer than none", said(now, "-1"), said(now, "7"), check.Error, "-1 is no number"},
		{"too many series", two, said(now, "7"), check.Error, "2 series"},
		{"too many series of all", nil, two, check.Error, "all lines: 2 series"},
		{"of before", said(now.Add(-time.Minute), "0"), said(now, "7"), check.Error, "before what was asked for"},
		{"all of before", nil, said(now.Add(-time.Minute), "7"), check.Error, "all lines: it is of"},
	} {
		got := check.JudgeCounted(p, since, countOf(p, since, now, test.lines, test.flow))
		if got.Outcome != test.want || !strings.Contains(got.Detail, test.says) {
			t.Errorf("%s: %v (%s), want %v (%s)", test.name, got.Outcome, got.Detail, test.want, test.says)
		}
	}
	if got := check.JudgeCounted(p, now, countOf(p, now, now, nil, said(now, "7"))); got.Outcome != check.Error {
		t.Errorf("at the moment of the change: %v (%s)", got.Outcome, got.Detail)
	}
	if got := check.JudgeCounted(p, now.Add(-30*time.Second), countOf(p, since, now, nil, said(now, "7"))); got.Outcome != check.Error {
		t.Errorf("counted over less than since the change: %v (%s)", got.Outcome, got.Detail)
	}
}

// counting answers how many lines there are with the next of some values, and notes when the first
// question was asked after the change.
type counting struct {
	lines []string
	flow  string
	asked int
	first time.Duration
}

func (*counting) Place(source string) string { return "http://loki/" + source }

func (c *counting) Probe(ctx context.Context, t *target.Target, of *releasev1.Check) check.Observation {
	return c.ProbeSince(ctx, t, of, time.Time{})
}

func (c *counting) ProbeSince(_ context.Context, _ *target.Target, of *releasev1.Check, since time.Time) check.Observation {
	now := time.Now().UTC()
	if c.asked == 0 {
		c.first = now.Sub(since)
	}
	value := c.lines[min(c.asked, len(c.lines)-1)]
	c.asked++
	return check.JudgeCounted(of.GetLogs(), since, countOf(of.GetLogs(), since, now, said(now, value), said(now, c.flow)))
}

// bakeLogs bakes eu1 with the check of logs, and with one of metrics of a source of the same name.
func bakeLogs(t *testing.T, source *counting) (check.Report, check.Plan) {
	t.Helper()
	p := plan(t, "eu1")
	other := metric(func(p *releasev1.PrometheusProbe) { p.Source = "logs" })
	p.Release = check.Release{Service: "shop", Environment: "production", Began: map[string]time.Time{"eu1": time.Now().Add(-time.Second)}}
	p.Checks = []*releasev1.Check{other, errorLines()}
	bake := newWorld("").Bake()
	bake.Probers["logs"], bake.Probers["prometheus"] = source, &measuring{values: []string{"0.5"}}
	report, err := bake.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return report, p
}

// TestALogIsBakedAndDerivedAgain: nothing is asked before lines can be there, what was asked of
// whom and what was answered is in the document, the verdict is derived from it again, and from
// nothing else.
func TestALogIsBakedAndDerivedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looked := []check.Approved{{Target: "eu1", Digest: approved}}
		documents := map[string]string{}
		plans := map[string]check.Plan{}
		for _, test := range []struct {
			name   string
			source *counting
			want   releasev1.CheckResult_Verdict
		}{
			{"well", &counting{lines: []string{"", "1"}, flow: "7"}, pass},
			{"errors", &counting{lines: []string{"", "2"}, flow: "7"}, fail},
			{"silent", &counting{lines: []string{""}}, inconclusive},
		} {
			report, of := bakeLogs(t, test.source)
			plans[test.name] = of
			if report.Verdict != test.want {
				t.Errorf("%s: %v (%s)", test.name, report.Verdict, report.Verification.GetReason())
			}
			if test.source.first != 3*time.Second {
				t.Errorf("%s: first asked %s after the change", test.name, test.source.first)
			}
			again, err := check.Rejudge(report.Document, of.Release, of.Checks, looked)
			if err != nil || !proto.Equal(again, report.Verification) {
				t.Errorf("%s: derived again: %v, %v", test.name, again, err)
			}
			documents[test.name] = string(report.Document)
			late := of.Release
			late.Began = map[string]time.Time{"eu1": of.Release.Began["eu1"].Add(-time.Second)}
			if again, err := check.Rejudge(report.Document, late, of.Checks, looked); err == nil {
				t.Errorf("%s: since another time: %v", test.name, again)
			}
		}
		for _, test := range []struct{ name, document, old, new string }{
			{"a failure that is called a pass", "errors", `"outcome":"failed"`, `"outcome":"passed"`},
			{"a silence that is called a pass", "silent", `"outcome":"error"`, `"outcome":"passed"`},
			{"a silence with a line", "silent", `"flow":{"found":0}`, `"flow":{"found":1}`},
			{"another count", "well", `"lines":{"found":1,`, `"lines":{"found":2,`},
			{"another value", "well", `"value":"1"}`, `"value":"2"}`},
			{"another window", "well", `"window":"4s"`, `"window":"5s"`},
			{"nothing counted", "well", `"counted":`, `"uncounted":`},
			{"another question", "well", `"query":"sum(count_over_time({app=\"shop\",target=\"eu1\"}`, `"query":"sum(count_over_time({app=\"shop\",target=\"eu2\"}`},
			{"another question for all lines", "well", `"flow":"sum(`, `"flow":"max(`},
			{"another source", "well", `"check":"logged","source":"logs"`, `"check":"logged","source":"others"`},
		} {
			changed := strings.ReplaceAll(documents[test.document], test.old, test.new)
			if changed == documents[test.document] {
				t.Errorf("%s: %s is not in %s", test.name, test.old, changed)
				continue
			}
			if _, err := check.Rejudge([]byte(changed), plans[test.document].Release, plans[test.document].Checks, looked); err == nil {
				t.Errorf("%s proves something", test.name)
			}
		}
		for _, want := range []string{`"url":"http://loki/logs"`, `"url":"http://prometheus/logs"`, ` |= \"\\\"error\\\"\" [60000ms]))`} {
			if !strings.Contains(documents["well"], want) {
				t.Errorf("the document has no %s: %s", want, documents["well"])
			}
		}
	})
}
