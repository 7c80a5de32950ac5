package criterion_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// compared is a check of a query that is compared with before, every 30 s over half an hour.
func compared(query string, changes ...func(*releasev1.PrometheusProbe, *releasev1.MetricBaseline)) *releasev1.Check {
	b := &releasev1.MetricBaseline{
		Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
		Over: durationpb.New(30 * time.Minute), Step: durationpb.New(30 * time.Second),
	}
	return asked(query, func(p *releasev1.PrometheusProbe) {
		p.Baseline, p.MaxAge, p.MaxAgeOf = b, durationpb.New(time.Minute), `x{t="{target}"}`
		for _, change := range changes {
			change(p, b)
		}
	})
}

// TestABaselineThatShowsNothingIsRefused: what cannot be compared, or never shows a difference,
// is found before anybody approves it.
func TestABaselineThatShowsNothingIsRefused(t *testing.T) {
	type (
		probe    = *releasev1.PrometheusProbe
		baseline = *releasev1.MetricBaseline
	)
	others := func(_ probe, b baseline) { b.Kind = releasev1.MetricBaseline_KIND_UNCHANGED }
	earlier := func(_ probe, b baseline) { b.Kind = releasev1.MetricBaseline_KIND_EARLIER_WAVE }
	for _, test := range []struct {
		name        string
		check       *releasev1.Check
		field, says string
	}{
		{"a query that names its target", compared(`sum(rate(x{t="{target}"}[30s]))`), "", ""},
		{"before, of all targets at once", compared(`sum(rate(x[30s]))`), "", ""},
		{"of others", compared(`sum(rate(x{t="{target}"}[30s]))`, others), "", ""},
		{"of the wave before", compared(`sum(rate(x{t="{target}"}[30s]))`, earlier), "", ""},
		{"of others without their names", compared(`sum(rate(x[30s]))`, others), "query", "must have {target}"},
		{"of the wave before without their names", compared(`sum(rate(x[30s]))`, earlier), "query", "must have {target}"},
		{"the age of all of them", compared(`sum(rate(x{t="{target}"}[30s]))`, others, func(p probe, _ baseline) { p.MaxAgeOf = "x" }), "max_age_of", "must have {target}"},
		{"of any age", compared(`x{t="{target}"}`, func(p probe, _ baseline) { p.MaxAge, p.MaxAgeOf = nil, "" }), "max_age", "required with a baseline"},
		{"several series", compared(`x`, func(p probe, _ baseline) { p.MaxSeries = proto.Uint32(2) }), "max_series", "one series"},
		{"values that share samples", compared(`sum(rate(x[2m]))`), "baseline.step", "the 2m0s that a value of the query reaches back"},
		{"values that share samples of the longer span", compared(`rate(x[10s]) / rate(x[1m30s])`), "baseline.step", "the 1m30s that"},
		{"values that share samples of a span within another", compared(`max_over_time(rate(x[20s])[20s:10s])`), "baseline.step", "the 40s that"},
		{"a span within quotes", compared(`x{a=~"[2]"}`), "", ""},
		{"a span that nobody knows", compared(`rate(x[$__interval])`), "query", "no span of which is known here"},
		{"a span without an end", compared(`rate(x[9999y])`), "query", "further than 24h"},
		{"of another time", compared(`sum(x offset 1h)`), "query", "offset makes values be of another time"},
		{"of one moment", compared(`sum(x @ 1700000000)`), "query", "@ makes values be of another time"},
		{"a name with the word in it", compared(`x_offset`), "", ""},
		{"a window with too few values", compared(`x`, func(_ probe, b baseline) { b.Over = durationpb.New(9 * time.Minute) }), "baseline.over", "never more than 19 values, and 20 are needed"},
		{"a window with just enough", compared(`x`, func(_ probe, b baseline) { b.Over = durationpb.New(9*time.Minute + 30*time.Second) }), "", ""},
		{"a window with too many", compared(`x`, func(_ probe, b baseline) { b.Step = durationpb.New(time.Second) }), "baseline.step", "1801 values, at most 500"},
		{"so few that nothing is ever shown", compared(`x`, func(_ probe, b baseline) { b.MinSamples = proto.Uint32(4) }), "baseline.min_samples", "never show a difference at 0.01, at best at 0.014"},
		{"as few as show it", compared(`x`, func(_ probe, b baseline) { b.MinSamples = proto.Uint32(5) }), "", ""},
		{"so few for either side", compared(`x`, func(_ probe, b baseline) {
			b.MinSamples, b.Alpha, b.Direction = proto.Uint32(4), proto.Float64(0.02), releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE
		}), "baseline.min_samples", "at best at 0.029"},
		{"as few for one side", compared(`x`, func(_ probe, b baseline) { b.MinSamples, b.Alpha = proto.Uint32(4), proto.Float64(0.02) }), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := criterion.Faults(test.check)
			if test.field == "" {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Field != "prometheus."+test.field || found[0].Rule == "" || !strings.Contains(found[0].Message, test.says) {
				t.Errorf("%v, want %s: %s", found, test.field, test.says)
			}
		})
	}
}

// TestABakeIsLongEnoughForAComparison, without what the first values rest on from before.
func TestABakeIsLongEnoughForAComparison(t *testing.T) {
	c := compared(`sum(rate(x[30s]))`)
	for bake, want := range map[time.Duration]string{
		10 * time.Minute:               "",
		9*time.Minute + 59*time.Second: "must be at least 10m0s for check metric: in 9m59s there are 19 values every 30s",
		time.Second:                    "there are 0 values",
	} {
		if got := criterion.ShortBake(c, bake); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", bake, got, want)
		}
	}
	if got := criterion.ShortBake(asked("up"), time.Second); got != "" {
		t.Errorf("of what is not compared: %s", got)
	}
}

// TestAComparisonIsShownWithItsDefaults, since people approve by these words.
func TestAComparisonIsShownWithItsDefaults(t *testing.T) {
	for _, test := range []struct {
		check *releasev1.Check
		want  string
	}{
		{
			compared(`x`),
			"at the end of the bake its values since the change, every 30s, are not higher than those of the same target 30m0s before its wave " +
				"(Mann-Whitney U: worse if p is at most 0.01 and Cliff's delta above 0.33; at least 20 values of each)",
		},
		{
			compared(`x{t="{target}"}`, func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
				b.Kind, b.Direction = releasev1.MetricBaseline_KIND_UNCHANGED, releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE
				b.Alpha, b.MinEffect, b.Tolerance, b.MinSamples = proto.Float64(0.05), proto.Float64(0), proto.Float64(0.1), proto.Uint32(10)
			}),
			"are not higher or lower by more than 10% than those of targets that are not changed yet, or, where there are none, of the same target 30m0s before its wave " +
				"(Mann-Whitney U: worse if p is at most 0.05 and Cliff's delta above 0; at least 10 values of each)",
		},
		{
			compared(`x{t="{target}"}`, func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
				b.Kind, b.Direction = releasev1.MetricBaseline_KIND_EARLIER_WAVE, releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE
			}),
			"are not lower than those of the wave before, or, where there is none, of the same target 30m0s before its wave",
		},
	} {
		if got := criterion.Words(test.check); !strings.Contains(got, test.want) {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}
