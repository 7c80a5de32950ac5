package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// metric is a Prometheus check of a value that must not be above 1.
func metric(changes ...func(*releasev1.PrometheusProbe)) *releasev1.Check {
	p := &releasev1.PrometheusProbe{Source: "metrics", Query: `errors{target="{target}",digest="{digest}"}`, Range: &releasev1.NumberRange{Max: proto.Float64(1)}}
	for _, change := range changes {
		change(p)
	}
	return &releasev1.Check{Name: "errors", Probe: &releasev1.Check_Prometheus{Prometheus: p}}
}

// TestOnlyAllThatIsDemandedPasses: answers of any kind are judged as a reader of the contract
// would, who counts everything anew.
func TestOnlyAllThatIsDemandedPasses(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		p := metric().GetPrometheus()
		overAll := rapid.Bool().Draw(t, "over")
		if overAll {
			p.Over, p.Step = durationpb.New(time.Minute), durationpb.New(10*time.Second)
			p.MinPoints = proto.Uint32(rapid.Uint32Range(1, 7).Draw(t, "points"))
			p.MinShare = proto.Float64(rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(t, "share"))
		}
		p.MinSeries, p.MaxSeries = proto.Uint32(rapid.Uint32Range(1, 2).Draw(t, "least")), proto.Uint32(rapid.Uint32Range(2, 3).Draw(t, "most"))
		var sampled *time.Time
		if rapid.Bool().Draw(t, "age") {
			p.MaxAge, p.MaxAgeOf = durationpb.New(30*time.Second), "up"
			if rapid.IntRange(0, 9).Draw(t, "known") > 0 {
				at := now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "sampled")) * time.Second)
				sampled = &at
			}
		}
		var answer []metrics.Series
		for range rapid.IntRange(0, 4).Draw(t, "series") {
			n := 1
			if overAll {
				n = rapid.IntRange(1, 7).Draw(t, "n")
			}
			ends := now.Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 0, 40, 400}).Draw(t, "ends")) * time.Second)
			var one metrics.Series
			for i := range n {
				one = append(one, metrics.Point{
					Time:  ends.Add(time.Duration(i-n+1) * 10 * time.Second),
					Value: rapid.SampledFrom([]string{"0", "1", "1", "0.5", "1.1", "NaN", "+Inf", "-Inf"}).Draw(t, "value"),
				})
			}
			answer = append(answer, one)
		}

		want := check.Passed
		for _, one := range answer {
			good := 0.0
			for _, point := range one {
				if point.Value != "1.1" {
					good++
				}
			}
			if good/float64(len(one)) < p.GetMinShare() || !overAll && good == 0 {
				want = check.Failed
			}
		}
		limit := 5 * time.Minute
		if p.GetMaxAge() != nil {
			limit = 30 * time.Second
		}
		for _, one := range answer {
			for _, point := range one {
				if strings.ContainsAny(point.Value, "NI") {
					want = check.Error
				}
			}
			if len(one) < int(p.GetMinPoints()) || now.Sub(one[len(one)-1].Time) > limit {
				want = check.Error
			}
		}
		if len(answer) < int(p.GetMinSeries()) || len(answer) > int(p.GetMaxSeries()) || len(answer) == 0 ||
			p.GetMaxAge() != nil && (sampled == nil || now.Sub(*sampled) > limit) {
			want = check.Error
		}
		if got := check.JudgeMeasured(p, check.Measure(p, now, sampled, answer)); got.Outcome != want {
			t.Errorf("%v (%s), want %v, of %v by %v", got.Outcome, got.Detail, want, answer, p)
		}
	})
}

// measuring answers each question with the next of some values, and notes the questions.
type measuring struct {
	values []string
	asked  []string
}

func (m *measuring) Place(source string) string { return "http://prometheus/" + source }

func (m *measuring) Probe(_ context.Context, _ *target.Target, c *releasev1.Check) check.Observation {
	value := m.values[min(len(m.asked), len(m.values)-1)]
	m.asked = append(m.asked, c.GetPrometheus().GetQuery())
	if value == "" {
		return check.Observation{Outcome: check.Error, Detail: "status 500"}
	}
	now := time.Now().UTC()
	return check.JudgeMeasured(c.GetPrometheus(), check.Measure(c.GetPrometheus(), now, nil, []metrics.Series{{{Time: now, Value: value}}}))
}

// bakeMetrics bakes eu1 with the one check, whose answers are these values.
func bakeMetrics(t *testing.T, c *releasev1.Check, values ...string) (check.Report, check.Plan, *measuring) {
	t.Helper()
	p := plan(t, "eu1")
	p.Release, p.Checks = check.Release{Service: "shop", Environment: "production"}, []*releasev1.Check{c}
	source := &measuring{values: values}
	bake := newWorld("").Bake()
	bake.Probers["prometheus"] = source
	report, err := bake.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return report, p, source
}

// TestMeasuredValuesAreEvidence: what was asked, of whom, and what was answered is in the
// document, and the verdict is derived from it again.
func TestMeasuredValuesAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			values []string
			want   releasev1.CheckResult_Verdict
		}{
			{[]string{"0.5"}, pass},
			{[]string{"0.5", "2", "2", "2"}, fail},
			{[]string{"NaN"}, inconclusive},
			{[]string{""}, inconclusive},
			{[]string{"0.5", "NaN", "0.5"}, inconclusive},
		} {
			report, p, source := bakeMetrics(t, metric(), test.values...)
			if report.Verdict != test.want {
				t.Errorf("%v: %v (%s)", test.values, report.Verdict, report.Verification.GetReason())
			}
			query := `errors{target="eu1",digest="` + approved + `"}`
			if source.asked[0] != query {
				t.Errorf("asked was %s", source.asked[0])
			}
			var document struct {
				Targets []struct {
					Queries []struct{ Check, Source, URL, Query string }
					Results []struct {
						Samples []struct {
							Measured struct {
								Series []struct{ Values []struct{ Value string } }
							}
						}
					}
				}
			}
			if err := json.Unmarshal(report.Document, &document); err != nil {
				t.Fatal(err)
			}
			of := document.Targets[0]
			if len(of.Queries) != 1 || of.Queries[0].Check != "errors" || of.Queries[0].Source != "metrics" || of.Queries[0].URL != "http://prometheus/metrics" || of.Queries[0].Query != query {
				t.Errorf("queries: %+v", of.Queries)
			}
			if first := of.Results[1].Samples[0].Measured; test.values[0] != "" && first.Series[0].Values[0].Value != test.values[0] {
				t.Errorf("values: %+v", first)
			}
			again, err := check.Rejudge(report.Document, p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}})
			if err != nil || !proto.Equal(again, report.Verification) {
				t.Errorf("derived again: %v, %v", again, err)
			}
		}
	})
}

// TestADocumentThatWasChangedProvesNothing: neither the words of a sample, nor its numbers,
// nor the question can be others than what was measured.
func TestADocumentThatWasChangedProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing, p, _ := bakeMetrics(t, metric(), "2")
		passing, _, _ := bakeMetrics(t, metric(), "0.5")
		blind, _, _ := bakeMetrics(t, metric(), "")
		for _, test := range []struct {
			name, document, old, new string
		}{
			{"a failure that is called a pass", string(failing.Document), `"outcome":"failed"`, `"outcome":"passed"`},
			{"a failure that is called an error", string(failing.Document), `"outcome":"failed"`, `"outcome":"error"`},
			{"an error that is called a pass", string(blind.Document), `"outcome":"error"`, `"outcome":"passed"`},
			{"a failure that is counted as within", string(failing.Document), `"outcome":"failed","detail":"2, expected at most 1","measured"`, `"outcome":"passed","measured"`},
			{"another value", string(passing.Document), `"value":"0.5"`, `"value":"2"`},
			{"a value fewer than there were", string(passing.Document), `"points":1,`, `"points":0,`},
			{"more within than there are", string(passing.Document), `"within":1`, `"within":2`},
			{"no series", string(passing.Document), `"found":1`, `"found":0`},
			{"another time", string(passing.Document), `"newest":"2`, `"newest":"1`},
			{"another question", string(passing.Document), `"query":"errors{target=\"eu1\"`, `"query":"errors{target=\"eu2\"`},
			{"a question of another source", string(passing.Document), `"source":"metrics"`, `"source":"others"`},
			{"no question", string(passing.Document), `"queries":[`, `"asked":[`},
		} {
			changed := strings.ReplaceAll(test.document, test.old, test.new)
			if changed == test.document {
				t.Fatalf("%s: %s is not in it:\n%s", test.name, test.old, test.document)
			}
			if _, err := check.Rejudge([]byte(changed), p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}}); !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		for name, release := range map[string]check.Release{"another service": {Service: "cart", Environment: "production"}, "another environment": {Service: "shop", Environment: "test"}} {
			c := metric(func(p *releasev1.PrometheusProbe) { p.Query = `errors{s="{service}",e="{environment}"}` })
			report, p, _ := bakeMetrics(t, c, "0.5")
			if _, err := check.Rejudge(report.Document, release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}}); !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// forged gives the same sample to every question.
type forged check.Observation

func (f forged) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return check.Observation(f)
}

// TestAForgedSampleProvesNothing: a sample that passed, and what is said to have been measured
// does not show it, is refused though all counts and verdicts of the document agree.
func TestAForgedSampleProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		point := func(ago time.Duration, value string) metrics.Point {
			return metrics.Point{Time: now.Add(-ago), Value: value}
		}
		measured := func(s check.MeasuredSeries) *check.Measured {
			return &check.Measured{Asked: now, Found: 1, Series: []check.MeasuredSeries{s}}
		}
		good := check.MeasuredSeries{Points: 1, Within: 1, Newest: now, Values: []metrics.Point{point(0, "0.5")}}
		aged := func(p *releasev1.PrometheusProbe) { p.MaxAge, p.MaxAgeOf = durationpb.New(time.Minute), "up" }
		for _, test := range []struct {
			name     string
			check    *releasev1.Check
			measured *check.Measured
			fine     bool
		}{
			{"as it was", metric(), measured(good), true},
			{"nothing measured", metric(), nil, false},
			{"of an age that is not known", metric(aged), measured(good), false},
			{"values that were not counted", metric(), measured(check.MeasuredSeries{Points: 1, Within: 1, Newest: now, Values: []metrics.Point{point(time.Second, "2"), point(0, "0.5")}}), false},
			{"another newest value", metric(), measured(check.MeasuredSeries{Points: 1, Within: 1, Newest: now, Values: []metrics.Point{point(time.Hour, "0.5")}}), false},
			{"no values", metric(), measured(check.MeasuredSeries{Points: 1, Within: 1, Newest: now, Values: []metrics.Point{}}), false},
			{"series that are gone", metric(), &check.Measured{Asked: now, Found: 1, Series: []check.MeasuredSeries{}}, false},
		} {
			p := plan(t, "eu1")
			p.Checks = []*releasev1.Check{test.check}
			bake := newWorld("").Bake()
			bake.Probers["prometheus"] = forged{Outcome: check.Passed, Measured: test.measured}
			report, err := bake.Run(t.Context(), p)
			if err != nil || report.Verdict != pass {
				t.Fatalf("%s: %v, %v", test.name, report.Verdict, err)
			}
			_, err = check.Rejudge(report.Document, p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}})
			if (err == nil) != test.fine || err != nil && !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	})
}

// TestAQueryThatCannotBeAskedIsAnError: whoever accepted it, nothing is asked.
func TestAQueryThatCannotBeAskedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for says, c := range map[string]*releasev1.Check{
			"prometheus.query: {target} stands outside of quotes": metric(func(p *releasev1.PrometheusProbe) { p.Query = "up{target}" }),
			"prometheus.min_series: must not be above":            metric(func(p *releasev1.PrometheusProbe) { p.MinSeries, p.MaxSeries = proto.Uint32(2), proto.Uint32(1) }),
		} {
			report, _, source := bakeMetrics(t, c, "0.5")
			if report.Verdict != inconclusive || len(source.asked) > 0 || !strings.Contains(string(report.Document), says) {
				t.Errorf("%v, asked %v:\n%s", report.Verdict, source.asked, report.Document)
			}
		}
	})
}

// TestTheDocumentOfManyValuesHasRoom: the room of a bake is shared by what each sample of it
// takes, so that the longest answers everywhere are still evidence that can be kept.
func TestTheDocumentOfManyValuesHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "eu1", "eu2", "eu3", "eu4")
		p.Release = check.Release{Service: strings.Repeat("s", 40), Environment: strings.Repeat("e", 40)}
		p.Bake, p.Interval = 24*time.Hour, time.Second
		p.Checks = nil
		for i := range 8 {
			c := metric(func(p *releasev1.PrometheusProbe) {
				p.Over, p.Step = durationpb.New(20*time.Second), durationpb.New(time.Second)
				p.MinSeries, p.MaxSeries = proto.Uint32(20), proto.Uint32(20)
				p.Query = `x{a="` + strings.Repeat(`\"`, 500) + `"}`
			})
			c.Name = strings.Repeat("n", 39) + string(rune('a'+i))
			p.Checks = append(p.Checks, c)
		}
		bake := newWorld("").Bake()
		bake.Probers["prometheus"] = longest{}
		report, err := bake.Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(report.Document); size > 8<<20 || report.Verdict != pass {
			t.Errorf("%d bytes, %v: %s", size, report.Verdict, report.Verification.GetReason())
		}
		if !strings.Contains(report.Verification.GetReason(), "the interval was widened") {
			t.Errorf("it says %s", report.Verification.GetReason())
		}
	})
}

// longest gives the longest answers that can be kept.
type longest struct{}

func (longest) Probe(_ context.Context, _ *target.Target, c *releasev1.Check) check.Observation {
	now := time.Now().UTC().Truncate(time.Second).Add(123 * time.Millisecond)
	demand := criterion.DemandOf(c.GetPrometheus())
	var answer []metrics.Series
	for range demand.MaxSeries {
		var one metrics.Series
		for i := range demand.Points {
			one = append(one, metrics.Point{Time: now.Add(time.Duration(i-demand.Points+1) * demand.Step), Value: "-1.7976931348623157e+308"})
		}
		answer = append(answer, one)
	}
	return check.JudgeMeasured(c.GetPrometheus(), check.Measure(c.GetPrometheus(), now, &now, answer))
}
