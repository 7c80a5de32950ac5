package check_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
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

// curve gives the value of a target at a time, and how old the sample is that it rests on;
// false where there is none.
type curve func(at time.Time) (value float64, age time.Duration, ok bool)

// curves is a source with a curve for each target, which is what its query ends with.
type curves struct {
	mu    sync.Mutex
	of    map[string]curve
	asked []string
	fails int
	says  string
	more  int
}

func (c *curves) Place(source string) string { return "http://prometheus/" + source }

func (c *curves) Probe(_ context.Context, _ *target.Target, k *releasev1.Check) check.Observation {
	now := time.Now().UTC()
	return check.JudgeMeasured(k.GetPrometheus(), check.Measure(k.GetPrometheus(), now, &now, []metrics.Series{{{Time: now, Value: "0.5"}}}))
}

func (c *curves) Values(_ context.Context, k *releasev1.Check, from, to time.Time, step time.Duration) (values, sampled []metrics.Series, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	query := k.GetPrometheus().GetQuery()
	c.asked = append(c.asked, fmt.Sprintf("%s from %s", query, to.Sub(from)))
	if c.fails > 0 {
		c.fails--
		return nil, nil, errors.New("status 503" + c.says)
	}
	var one, ages metrics.Series
	for at := from; !at.After(to); at = at.Add(step) {
		value, age, ok := c.of[strings.Trim(query[strings.Index(query, "=")+1:], `"}`)](at)
		if !ok {
			continue
		}
		text := fmt.Sprint(value)
		if math.IsNaN(value) {
			text = "NaN"
		}
		one = append(one, metrics.Point{Time: at, Value: text})
		ages = append(ages, metrics.Point{Time: at, Value: fmt.Sprintf("%.3f", float64(at.Add(-age).UnixMilli())/1000)})
	}
	if len(one) == 0 {
		return nil, nil, nil
	}
	for range c.more {
		values = append(values, one)
	}
	return append(values, one), []metrics.Series{ages}, nil
}

// steady is a value that goes up and down by little, never twice the same.
func steady(value float64) curve {
	return func(at time.Time) (float64, time.Duration, bool) {
		n := at.Unix() / 30
		return value * (1 + float64(n*7919%101)/1e3), 5 * time.Second, true
	}
}

func same(value float64) curve {
	return func(time.Time) (float64, time.Duration, bool) { return value, 5 * time.Second, true }
}

// rises changes from one curve to another at a time.
func rises(when time.Time, before, after curve) curve {
	return func(at time.Time) (float64, time.Duration, bool) {
		if at.Before(when) {
			return before(at)
		}
		return after(at)
	}
}

// silent is a target of which there is nothing.
func silent(time.Time) (value float64, age time.Duration, ok bool) { return 0, 0, false }

// compared is a check that compares every 30 s over half an hour.
func compared(changes ...func(*releasev1.MetricBaseline)) *releasev1.Check {
	b := &releasev1.MetricBaseline{
		Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
		Over: durationpb.New(30 * time.Minute), Step: durationpb.New(30 * time.Second),
	}
	for _, change := range changes {
		change(b)
	}
	return metric(func(p *releasev1.PrometheusProbe) {
		p.Query, p.Baseline, p.MaxAge = `errors{t="{target}"}`, b, durationpb.New(time.Minute)
	})
}

func kind(k releasev1.MetricBaseline_Kind) func(*releasev1.MetricBaseline) {
	return func(b *releasev1.MetricBaseline) { b.Kind = k }
}

func direction(d releasev1.MetricBaseline_Direction) func(*releasev1.MetricBaseline) {
	return func(b *releasev1.MetricBaseline) { b.Direction = d }
}

// comparing is a bake of 15 minutes of eu1, whose wave began a minute ago, with eu2 and eu3 not
// changed yet and eu0 changed before.
func comparing(t *testing.T, c *releasev1.Check) check.Plan {
	t.Helper()
	p := plan(t, "eu1")
	began := time.Now().Add(-time.Minute)
	p.Release = check.Release{
		Service: "shop", Environment: "production", Began: map[string]time.Time{"eu1": began, "eu0": began.Add(-time.Hour)},
		Was: map[string]string{"eu0": approved, "eu1": approved, "eu2": approved, "eu3": approved}, Unchanged: []string{"eu2", "eu3"}, Earlier: []string{"eu0"},
	}
	p.Checks, p.Bake, p.Interval, p.Start = []*releasev1.Check{c}, 15*time.Minute, time.Minute, time.Now()
	p.Disturbed = func(context.Context, string, time.Time, time.Time) ([]check.Disturbance, error) { return nil, nil }
	return p
}

// compare bakes, and derives the verdict again.
func compare(t *testing.T, p check.Plan, source *curves) check.Report {
	t.Helper()
	bake := newWorld("").Bake()
	bake.Probers["prometheus"] = source
	report, err := bake.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := check.Rejudge(report.Document, p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}})
	if err != nil || !proto.Equal(again, report.Verification) {
		t.Errorf("derived again: %v, %v", again, err)
	}
	return report
}

// result is that of the check.
func result(report check.Report) *releasev1.CheckResult { return report.Verification.GetResults()[1] }

// TestValuesAreComparedWithABaseline: what is worse fails, what is not passes, and where it
// cannot be told nothing is known; whatever the bounds say.
func TestValuesAreComparedWithABaseline(t *testing.T) {
	const (
		unchanged = releasev1.MetricBaseline_KIND_UNCHANGED
		earlier   = releasev1.MetricBaseline_KIND_EARLIER_WAVE
		lower     = releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE
		either    = releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE
	)
	tolerate := func(share float64) func(*releasev1.MetricBaseline) {
		return func(b *releasev1.MetricBaseline) { b.Tolerance = proto.Float64(share) }
	}
	for _, test := range []struct {
		name  string
		check *releasev1.Check
		// after is eu1 since the change; before it, and elsewhere, it is steady at 1.
		after  func(now time.Time) curve
		change func(*curves, *check.Plan)
		want   releasev1.CheckResult_Verdict
		says   string
	}{
		{name: "as before", check: compared(), after: nil, want: pass, says: "not higher than before: p "},
		{name: "higher", check: compared(), after: func(time.Time) curve { return steady(1.5) }, want: fail, says: "higher than before: p "},
		{name: "lower, which is better", check: compared(), after: func(time.Time) curve { return steady(0.5) }, want: pass, says: "not higher than before"},
		{name: "lower, which is worse", check: compared(direction(lower)), after: func(time.Time) curve { return steady(0.5) }, want: fail, says: "lower than before"},
		{name: "lower where either is worse", check: compared(direction(either)), after: func(time.Time) curve { return steady(0.5) }, want: fail, says: "lower than before"},
		{name: "higher where either is worse", check: compared(direction(either)), after: func(time.Time) curve { return steady(1.5) }, want: fail, says: "higher than before"},
		{name: "higher by what is tolerated", check: compared(tolerate(0.6)), after: func(time.Time) curve { return steady(1.5) }, want: pass, says: "not higher"},
		{name: "higher by more than is tolerated", check: compared(tolerate(0.3)), after: func(time.Time) curve { return steady(1.5) }, want: fail, says: "higher"},
		{name: "all the same", check: compared(), after: func(time.Time) curve { return same(1) }, change: func(c *curves, _ *check.Plan) { c.of["eu1"] = same(1) }, want: pass, says: "p 1, Cliff's delta 0"},
		{name: "all zero, and then something", check: compared(), change: func(c *curves, p *check.Plan) { c.of["eu1"] = rises(p.Release.Began["eu1"], same(0), same(0.01)) }, want: fail, says: "higher"},
		{name: "higher than elsewhere", check: compared(kind(unchanged)), after: func(time.Time) curve { return steady(1.5) }, want: fail, says: "higher than where it is not changed yet"},
		{name: "as elsewhere, where it got worse as well", check: compared(kind(unchanged)), after: func(time.Time) curve { return steady(1.5) }, change: func(c *curves, p *check.Plan) {
			c.of["eu2"] = rises(p.Start, steady(1), steady(1.5))
			c.of["eu3"] = c.of["eu2"]
		}, want: pass, says: "not higher than where"},
		{name: "nobody is left that is not changed", check: compared(kind(unchanged)), after: func(time.Time) curve { return steady(1.5) }, change: func(_ *curves, p *check.Plan) { p.Release.Unchanged = nil }, want: fail, says: "higher than before"},
		{name: "higher than in the wave before", check: compared(kind(earlier)), after: func(time.Time) curve { return steady(1.5) }, want: fail, says: "higher than in the wave before"},

		{name: "no data since the change", check: compared(), after: func(time.Time) curve { return silent }, want: inconclusive, says: "since the change, on eu1: no data"},
		{name: "no data in the baseline", check: compared(), change: func(c *curves, p *check.Plan) {
			c.of["eu1"] = silent
		}, want: inconclusive, says: "no data"},
		{name: "no data on one of the others", check: compared(kind(unchanged)), change: func(c *curves, _ *check.Plan) {
			c.of["eu3"] = silent
		}, want: inconclusive, says: "in the baseline, on eu3: no data"},
		{name: "one value that is none", check: compared(), after: func(now time.Time) curve {
			return func(at time.Time) (float64, time.Duration, bool) {
				if at.Sub(now) == 5*time.Minute {
					return math.NaN(), 0, true
				}
				return 1, time.Second, true
			}
		}, want: inconclusive, says: "NaN is no number"},
		{name: "one value that is old", check: compared(), after: func(now time.Time) curve {
			return func(at time.Time) (float64, time.Duration, bool) {
				if at.Sub(now) == 5*time.Minute {
					return 1, 61 * time.Second, true
				}
				return 1, time.Second, true
			}
		}, want: inconclusive, says: "1m1s old, at most 1m0s are allowed"},
		{name: "many values of few samples", check: compared(), change: func(c *curves, p *check.Plan) {
			p.Checks[0].GetPrometheus().MaxAge = durationpb.New(5 * time.Minute)
			c.of["eu1"] = func(at time.Time) (float64, time.Duration, bool) {
				return 1, at.Sub(at.Truncate(2 * time.Minute)), true
			}
		}, want: inconclusive, says: "values that rest on samples of their own, at least 20 are needed"},
		{name: "two series", check: compared(), change: func(c *curves, _ *check.Plan) { c.more = 1 }, want: inconclusive, says: "2 series, one is compared"},
		{name: "a source that fails", check: compared(), change: func(c *curves, _ *check.Plan) { c.fails = 100 }, want: inconclusive, says: "status 503"},
		{name: "a source that fails once", check: compared(), change: func(c *curves, _ *check.Plan) { c.fails = 1 }, want: pass, says: "not higher"},
		{name: "a wave of which nobody knows when it began", check: compared(), change: func(_ *curves, p *check.Plan) { p.Release.Began = nil }, want: inconclusive, says: "not known when the wave of eu1 began"},
		{name: "a bake that is too short", check: compared(), change: func(_ *curves, p *check.Plan) { p.Bake = 10*time.Minute - time.Second }, want: inconclusive, says: "there are 19 values since the change"},
		{name: "another release in the time of the baseline", check: compared(), after: func(time.Time) curve { return steady(1.5) }, change: func(_ *curves, p *check.Plan) {
			p.Disturbed = func(_ context.Context, id string, from, _ time.Time) ([]check.Disturbance, error) {
				return []check.Disturbance{{Target: id, Release: "shop-other", What: check.ReleaseUnderWay, From: from.UTC()}}, nil
			}
		}, want: inconclusive, says: "release shop-other was under way on eu1"},
		{name: "an incident in the time of the baseline", check: compared(kind(unchanged)), change: func(_ *curves, p *check.Plan) {
			p.Disturbed = func(_ context.Context, id string, from, _ time.Time) ([]check.Disturbance, error) {
				return []check.Disturbance{{Target: id, Release: "shop-other", What: check.IncidentUnderWay, From: from.UTC()}}, nil
			}
		}, want: inconclusive, says: "an incident of release shop-other was open on eu2"},
		{name: "nobody knows what else there was", check: compared(), change: func(_ *curves, p *check.Plan) { p.Disturbed = nil }, want: inconclusive, says: "what else was under way"},
		{name: "it cannot be read what else there was", check: compared(), change: func(_ *curves, p *check.Plan) {
			p.Disturbed = func(context.Context, string, time.Time, time.Time) ([]check.Disturbance, error) {
				return nil, errors.New("no answer")
			}
		}, want: inconclusive, says: "is not known: no answer"},
		{name: "there is no end of reading what else there was", check: compared(), change: func(_ *curves, p *check.Plan) {
			p.Disturbed = func(ctx context.Context, _ string, _, _ time.Time) ([]check.Disturbance, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}, want: inconclusive, says: "is not known: context deadline exceeded"},
		{name: "a query that reaches back before the change", check: compared(func(b *releasev1.MetricBaseline) { b.MinSamples = proto.Uint32(30) }), change: func(_ *curves, p *check.Plan) {
			p.Checks[0].GetPrometheus().Query, p.Checks[0].GetPrometheus().MaxAgeOf = `rate(errors[30s]) + errors{t="{target}"}`, `errors{t="{target}"}`
		}, want: pass, says: "of 30 and 61 values"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := comparing(t, test.check)
				source := &curves{of: map[string]curve{"eu0": steady(1), "eu1": steady(1), "eu2": steady(1), "eu3": steady(1)}}
				if test.after != nil {
					source.of["eu1"] = rises(p.Release.Began["eu1"], steady(1), test.after(p.Start))
				}
				if test.change != nil {
					test.change(source, &p)
				}
				report := compare(t, p, source)
				if got := result(report); got.GetVerdict() != test.want || !strings.Contains(got.GetReason(), test.says) || report.Verdict != test.want {
					t.Errorf("%v (%s), want %v: %s", got.GetVerdict(), got.GetReason(), test.want, test.says)
				}
			})
		})
	}
}

// TestASideIsWhatItIsSaidToBe: before is before the wave began, since is since the bake began.
func TestASideIsWhatItIsSaidToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for k, want := range map[releasev1.MetricBaseline_Kind][]string{
			releasev1.MetricBaseline_KIND_BEFORE:       {`errors{t="eu1"} from 14m30s`, `errors{t="eu1"} from 30m0s`},
			releasev1.MetricBaseline_KIND_UNCHANGED:    {`errors{t="eu1"} from 14m30s`, `errors{t="eu2"} from 14m30s`, `errors{t="eu3"} from 14m30s`},
			releasev1.MetricBaseline_KIND_EARLIER_WAVE: {`errors{t="eu1"} from 14m30s`, `errors{t="eu0"} from 14m30s`},
		} {
			p := comparing(t, compared(kind(k)))
			source := &curves{of: map[string]curve{"eu0": steady(1), "eu1": steady(1), "eu2": steady(1), "eu3": steady(1)}}
			report := compare(t, p, source)
			if strings.Join(source.asked, "\n") != strings.Join(want, "\n") {
				t.Errorf("%v: asked %v", k, source.asked)
			}
			c := comparisonOf(t, report)
			last := c.Baseline[len(c.Baseline)-1]
			if k == releasev1.MetricBaseline_KIND_BEFORE && !last.To.Equal(p.Release.Began["eu1"].Truncate(time.Millisecond)) ||
				c.URL != "http://prometheus/metrics" || !c.Changed.From.Equal(p.Start.Add(30*time.Second)) || len(c.Changed.Readings) != 30 || c.Statistic == nil || c.DecidedBy == "" {
				t.Errorf("%v: %+v", k, c)
			}
		}
	})
}

// TestTheShortestBakeThatIsTakenIsLongEnough: what intake names is enough whenever the bake begins
// and whether or not the query has a span, with samples that are taken once every step.
func TestTheShortestBakeThatIsTakenIsLongEnough(t *testing.T) {
	for _, query := range []string{`errors{t="{target}"}`, `rate(errors[10s]) + errors{t="{target}"}`, `rate(errors[30s]) + errors{t="{target}"}`} {
		for _, odd := range []time.Duration{0, 300 * time.Microsecond, time.Second - 1} {
			for _, taken := range []time.Duration{0, time.Millisecond, 5 * time.Second, 30*time.Second - time.Millisecond} {
				synctest.Test(t, func(t *testing.T) {
					p := comparing(t, compared())
					p.Checks[0].GetPrometheus().Query, p.Checks[0].GetPrometheus().MaxAgeOf = query, `errors{t="{target}"}`
					p.Bake, p.Start = 10*time.Minute, p.Start.Add(-odd)
					if short := criterion.ShortBake(p.Checks[0], p.Bake-1); !strings.Contains(short, "at least 10m0s") {
						t.Errorf("%s: less than it takes: %q", query, short)
					}
					if short := criterion.ShortBake(p.Checks[0], p.Bake); short != "" {
						t.Errorf("%s: %s", query, short)
					}
					report := compare(t, p, &curves{of: map[string]curve{"eu1": func(at time.Time) (float64, time.Duration, bool) {
						value, _, ok := steady(1)(at)
						return value, at.Sub(at.Add(-taken).Truncate(30 * time.Second).Add(taken)), ok
					}}})
					if report.Verdict != pass {
						t.Errorf("%s, from %s before, sampled at %s: %v: %s", query, odd, taken, report.Verdict, result(report).GetReason())
					}
				})
			}
		}
	}
}

// TestNothingIsComparedThatRestsOnWhatWasBefore: a query that reaches back is asked from when it
// reaches back to nothing but what was since.
func TestNothingIsComparedThatRestsOnWhatWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared(func(b *releasev1.MetricBaseline) {
			b.Step = durationpb.New(time.Minute)
			b.MinSamples = proto.Uint32(14)
		}))
		p.Checks[0].GetPrometheus().Query = `max_over_time(errors[50s]) or errors{t="{target}"}`
		p.Checks[0].GetPrometheus().MaxAgeOf = `errors{t="{target}"}`
		report := compare(t, p, &curves{of: map[string]curve{"eu1": steady(1)}})
		if c := comparisonOf(t, report); report.Verdict != pass || !c.Changed.From.Equal(p.Start.Add(time.Minute)) || c.Statistic.Changed != 15 {
			t.Errorf("%v: from %s: %s", report.Verdict, c.Changed.From.Sub(p.Start), c.Detail)
		}
	})
}

// comparisonOf is the comparison in the evidence.
func comparisonOf(t *testing.T, report check.Report) check.Comparison {
	t.Helper()
	var document struct {
		Targets []struct {
			Results []struct{ Comparison *check.Comparison }
		}
	}
	if err := json.Unmarshal(report.Document, &document); err != nil {
		t.Fatal(err)
	}
	c := document.Targets[0].Results[1].Comparison
	if c == nil {
		t.Fatalf("nothing was compared:\n%s", report.Document)
	}
	return *c
}

// TestAValidatorThatTakesOverComparesOnce: whatever was lost, all values of the bake are asked
// for when it is over, each once; and where the window begins anew, those since then.
func TestAValidatorThatTakesOverComparesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late, want := range map[time.Duration]time.Duration{5 * time.Minute: 0, 14 * time.Minute: 14 * time.Minute} {
			p := comparing(t, compared())
			p.Start = p.Start.Add(-late)
			p.Release.Began["eu1"] = p.Start.Add(-time.Minute)
			source := &curves{of: map[string]curve{"eu1": steady(1)}}
			report := compare(t, p, source)
			c := comparisonOf(t, report)
			if report.Verdict != pass || len(source.asked) != 2 || len(c.Changed.Readings) != 30 || !c.Changed.From.Equal(p.Start.Add(want+30*time.Second)) || c.Tries != 1 {
				t.Errorf("%s late: %v, asked %v, from %s with %d readings", late, report.Verdict, source.asked, c.Changed.From, len(c.Changed.Readings))
			}
		}
	})
}

// TestABakeThatEndsEarlyComparesNothing, and nothing that was not compared passes.
func TestABakeThatEndsEarlyComparesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared())
		p.Checks = append(p.Checks, &releasev1.Check{Name: "health", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/health"}}})
		source := &curves{of: map[string]curve{"eu1": steady(1)}}
		bake := newWorld("fff").Bake()
		bake.Probers["prometheus"] = source
		report, err := bake.Run(t.Context(), p)
		if err != nil || report.Verdict != fail || len(source.asked) != 0 {
			t.Errorf("%v, %v, asked %v", report.Verdict, err, source.asked)
		}
		if got := result(report); got.GetVerdict() != inconclusive || !strings.Contains(got.GetReason(), "nothing was compared") {
			t.Errorf("%v", got)
		}
	})
}

// TestOneChangedByteOfAComparisonIsReported, whichever it is: a document in which one was turned
// is no evidence of this bake any more.
func TestOneChangedByteOfAComparisonIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared(func(b *releasev1.MetricBaseline) { b.Over = durationpb.New(10 * time.Minute) }))
		source := &curves{of: map[string]curve{"eu1": rises(p.Start, steady(1), steady(1.05))}}
		report := compare(t, p, source)
		from := bytes.Index(report.Document, []byte(`"comparison":`))
		for at := from; at < len(report.Document); at++ {
			changed := bytes.Clone(report.Document)
			switch b := changed[at]; {
			case b >= '0' && b <= '8':
				changed[at]++
			case b == '9':
				changed[at] = '8'
			case b >= 'a' && b < 'z':
				changed[at]++
			default:
				continue
			}
			if _, err := check.Rejudge(changed, p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}}); !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s with %c: %v", report.Document[max(from, at-40):at+1], changed[at], err)
			}
		}
		for name, change := range map[string]func(*check.Plan){
			"another begin":   func(p *check.Plan) { p.Release.Began = map[string]time.Time{"eu1": p.Start.Add(-time.Hour)} },
			"another alpha":   func(p *check.Plan) { p.Checks[0].GetPrometheus().Baseline.Alpha = proto.Float64(0.4) },
			"no baseline":     func(p *check.Plan) { p.Checks[0].GetPrometheus().Baseline = nil },
			"another service": func(p *check.Plan) { p.Checks[0].GetPrometheus().Query = `errors{s="{service}",t="{target}"}` },
		} {
			q := p
			q.Checks = []*releasev1.Check{proto.CloneOf(p.Checks[0])}
			change(&q)
			if _, err := check.Rejudge(report.Document, q.Release, q.Checks, []check.Approved{{Target: "eu1", Digest: approved}}); !errors.Is(err, check.ErrDocument) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestTheSumOfAComparisonIsThatOfItsText: whoever has the evidence can tell with what every system
// has, whatever characters a query holds.
func TestTheSumOfAComparisonIsThatOfItsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared())
		p.Checks[0].GetPrometheus().MaxAgeOf = `errors{a!~"<&>",t="{target}"}`
		report := compare(t, p, &curves{of: map[string]curve{"eu1": steady(1)}})
		sum := comparisonOf(t, report).Sum
		_, text, _ := bytes.Cut(report.Document, []byte(`"comparison":`))
		var written json.RawMessage
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(&written); err != nil {
			t.Fatal(err)
		}
		empty := bytes.Replace(written, []byte(`"sha256":"`+sum+`"`), []byte(`"sha256":""`), 1)
		if got := fmt.Sprintf("%x", sha256.Sum256(empty)); got != sum || len(empty) == len(written) || !bytes.Contains(empty, []byte(`<&>`)) {
			t.Errorf("the text has the sum %s, and says %s:\n%s", got, sum, empty)
		}
	})
}

// TestAForgedOutcomeProvesNothing: a comparison that says otherwise than its values come to is
// refused though its sum fits.
func TestAForgedOutcomeProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared())
		report := compare(t, p, &curves{of: map[string]curve{"eu1": rises(p.Start, steady(1), steady(1.5))}})
		for _, test := range []struct {
			name   string
			change func(*check.Comparison)
			fine   bool
		}{
			{"as it was", func(*check.Comparison) {}, true},
			{"called a pass", func(c *check.Comparison) { c.Outcome = check.Passed }, false},
			{"other words", func(c *check.Comparison) { c.Detail = "not " + c.Detail }, false},
			{"a test less", func(c *check.Comparison) { c.Statistic.Tests = []check.Test{} }, false},
			{"another probability", func(c *check.Comparison) { c.Statistic.Tests[0].P = 0.5 }, false},
			{"by somebody else", func(c *check.Comparison) { c.DecidedBy = "somebody" }, false},
			{"another question", func(c *check.Comparison) { c.Changed.Query = "vector(1)" }, false},
			{"another window", func(c *check.Comparison) { c.Baseline[0].From = c.Baseline[0].From.Add(-time.Hour) }, false},
			{"a baseline less", func(c *check.Comparison) { c.Baseline = c.Baseline[:0] }, false},
			{"values of another time", func(c *check.Comparison) {
				for i := range c.Changed.Readings {
					c.Changed.Readings[i].Time = c.Changed.Readings[i].Time.Add(time.Second)
				}
			}, false},
			{"a value that is there twice", func(c *check.Comparison) { c.Changed.Readings = append(c.Changed.Readings, c.Changed.Readings[29]) }, false},
			{"what was disturbed", func(c *check.Comparison) { c.Disturbed = []check.Disturbance{{Target: "eu1"}} }, false},
		} {
			c := comparisonOf(t, report)
			test.change(&c)
			c.Sum = ""
			text, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			c.Sum = fmt.Sprintf("%x", sha256.Sum256(text))
			if text, err = json.Marshal(c); err != nil {
				t.Fatal(err)
			}
			from := bytes.Index(report.Document, []byte(`"comparison":`)) + len(`"comparison":`)
			var was json.RawMessage
			if err := json.NewDecoder(bytes.NewReader(report.Document[from:])).Decode(&was); err != nil {
				t.Fatal(err)
			}
			changed := bytes.Replace(report.Document, was, text, 1)
			_, err = check.Rejudge(changed, p.Release, p.Checks, []check.Approved{{Target: "eu1", Digest: approved}})
			if (err == nil) != test.fine || err != nil && (!errors.Is(err, check.ErrDocument) || strings.Contains(err.Error(), "written otherwise")) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	})
}

// TestTheDocumentOfManyComparisonsHasRoom: the most values on the most targets are still evidence
// that can be kept, and where they are too many nothing is compared.
func TestTheDocumentOfManyComparisonsHasRoom(t *testing.T) {
	for targets, want := range map[int]releasev1.CheckResult_Verdict{30: pass, 120: inconclusive} {
		synctest.Test(t, func(t *testing.T) {
			var ids, others []string
			for i := range targets {
				ids = append(ids, fmt.Sprintf("t%d", i))
			}
			source := &curves{of: map[string]curve{}}
			for i := range 20 {
				id := "o" + strings.Repeat("x", 50) + fmt.Sprint(i)
				others = append(others, id)
				source.of[id] = steady(-1.7976931348623157e+308)
			}
			was := map[string]string{}
			for _, id := range append(ids, others...) {
				was[id], source.of[id] = approved, steady(1.7976931348623e-300)
			}
			p := comparing(t, compared(kind(releasev1.MetricBaseline_KIND_UNCHANGED), direction(releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE)))
			p.Subjects = plan(t, ids...).Subjects
			p.Release.Was, p.Release.Unchanged, p.Bake, p.Interval = was, others, 5*time.Hour, 10*time.Second
			p.Checks[0].GetPrometheus().Baseline.MinEffect = proto.Float64(0.99)
			p.Checks[0].GetPrometheus().MaxAgeOf = `errors{a=~"` + strings.Repeat(`\\"`, 120) + `",t="{target}"}`
			bake := newWorld("").Bake()
			bake.Probers["prometheus"] = source
			report, err := bake.Run(t.Context(), p)
			if err != nil || report.Verdict != want || len(report.Document) > 8<<20 {
				t.Errorf("%d targets: %v, %d bytes, %v: %s", targets, report.Verdict, len(report.Document), err, report.Verification.GetReason())
			}
		})
	}
}
