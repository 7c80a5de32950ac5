package criterion_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// asked is a Prometheus check of a query.
func asked(query string, changes ...func(*releasev1.PrometheusProbe)) *releasev1.Check {
	p := &releasev1.PrometheusProbe{Source: "metrics", Query: query, Range: &releasev1.NumberRange{Max: proto.Float64(1)}}
	for _, change := range changes {
		change(p)
	}
	return &releasev1.Check{Name: "metric", Probe: &releasev1.Check_Prometheus{Prometheus: p}}
}

func TestWhatCanBeSeenOfAQueryIsRefused(t *testing.T) {
	over := func(all, step time.Duration) func(*releasev1.PrometheusProbe) {
		return func(p *releasev1.PrometheusProbe) { p.Over, p.Step = durationpb.New(all), durationpb.New(step) }
	}
	fresh := func(p *releasev1.PrometheusProbe) { p.MaxAge = durationpb.New(time.Minute) }
	of := func(selector string) func(*releasev1.PrometheusProbe) {
		return func(p *releasev1.PrometheusProbe) { fresh(p); p.MaxAgeOf = selector }
	}
	for _, test := range []struct {
		name  string
		check *releasev1.Check
		// field is the one at fault, empty where all is well, and says what is said of it.
		field, says string
	}{
		{"a selector", asked(`up{job="shop"}`), "", ""},
		{"placeholders in every kind of quotes", asked("a{t=\"{target}\",s='{service}',e=`{environment}`,d=\"{digest}\"}"), "", ""},
		{"brackets and numbers of a regular expression in quotes", asked(`sum(rate(x{a=~"[(]{2,3}\\p{Greek}"}[1m])) / ignoring(a) {b='"(',c="\"}"}`), "", ""},
		{"over two lines", asked("sum(\n\tx\n)"), "", ""},
		{"nothing", asked(" \n"), "query", "empty"},
		{"a placeholder of nobody", asked(`up{job="{targets}"}`), "query", "{targets} stands for nothing"},
		{"a placeholder with room", asked(`up{job="{ target }"}`), "query", "stands for nothing"},
		{"a placeholder outside of quotes", asked(`up{target}`), "query", "{target} stands outside of quotes"},
		{"a quote that is not closed", asked(`up{job="shop}`), "query", `the quote " is not closed`},
		{"a quote that is closed in the next line", asked("up{job=\"shop\n\"}"), "query", `the quote " is not closed`},
		{"a quote that is not closed because of its escape", asked(`up{job='shop\'}`), "query", "the quote ' is not closed"},
		{"a bracket that is not closed", asked(`sum(up`), "query", "the bracket ( is not closed"},
		{"a bracket that closes nothing", asked(`sum(up])`), "query", "the bracket ] closes nothing"},
		{"a comment", asked("vector(1) # sum(errors)"), "query", "a comment"},
		{"a sharp in quotes", asked(`up{job="#"}`), "", ""},
		{"more than is asked when it is filled", asked(`a{b="` + strings.Repeat("{digest}", 40) + `"}`), "query", "at most 2048"},

		{"the age of a selector", asked(`up{job="shop",target=~"{target}"}`, fresh), "", ""},
		{"the age of a name", asked(`up`, fresh), "", ""},
		{"the age of labels alone", asked(`{__name__="up"}`, fresh), "", ""},
		{"the age of what is computed", asked(`sum(up)`, fresh), "max_age_of", "required with max_age"},
		{"the age of what was", asked(`up offset 1h`, fresh), "max_age_of", "required with max_age"},
		{"the age of two", asked(`up + down`, fresh), "max_age_of", "required with max_age"},
		{"the age of what goes into it", asked(`sum(up)`, of(`up{job="{service}"}`)), "", ""},
		{"the age of a computation beside it", asked(`sum(up)`, of(`sum(up)`)), "max_age_of", "must be a selector alone"},
		{"the age of a span", asked(`sum(up)`, of(`up[5m]`)), "max_age_of", "must be a selector alone"},
		{"the age of what is not closed", asked(`sum(up)`, of(`up{`)), "max_age_of", "is not closed"},

		{"a span", asked(`up`, over(time.Minute, time.Second)), "", ""},
		{"a span of too many points", asked(`up`, over(10*time.Minute, time.Second)), "step", "601 points, at most 500"},
		{"fewer points than a span needs", asked(`up`, over(time.Second, time.Minute)), "min_points", "never more than 1 points"},
		{"more points than there are", asked(`up`, over(time.Minute, 10*time.Second), func(p *releasev1.PrometheusProbe) { p.MinPoints = proto.Uint32(8) }), "min_points", "never more than 7 points"},
		{"as many points as there are", asked(`up`, over(time.Minute, 10*time.Second), func(p *releasev1.PrometheusProbe) { p.MinPoints = proto.Uint32(7) }), "", ""},
		{"more series than are allowed", asked(`up`, func(p *releasev1.PrometheusProbe) { p.MinSeries, p.MaxSeries = proto.Uint32(3), proto.Uint32(2) }), "min_series", "above max_series"},
		{"as many series as are allowed", asked(`up`, func(p *releasev1.PrometheusProbe) { p.MinSeries = proto.Uint32(3) }), "", ""},
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
	if found := criterion.Faults(&releasev1.Check{Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}); found != nil {
		t.Errorf("of another kind: %v", found)
	}
}

func TestPlaceholdersAreFilled(t *testing.T) {
	names := criterion.Names{Target: "shop-eu1", Service: "shop", Environment: "production", Digest: "sha256:" + strings.Repeat("a", 64)}
	c := asked("sum(x{t=\"{target}\",u=~'{service}-.{1,3}'}) / y{e=`{environment}`,d=\"{digest}\"}", func(p *releasev1.PrometheusProbe) {
		p.MaxAge, p.MaxAgeOf = durationpb.New(time.Minute), `x{t="{target}"}`
	})
	before := proto.CloneOf(c)
	got, err := criterion.Resolve(c, names)
	if err != nil || !proto.Equal(c, before) {
		t.Fatalf("%v, and the check itself is %v", err, c)
	}
	want := "sum(x{t=\"shop-eu1\",u=~'shop-.{1,3}'}) / y{e=`production`,d=\"" + names.Digest + "\"}"
	if p := got.GetPrometheus(); p.GetQuery() != want || p.GetMaxAgeOf() != `x{t="shop-eu1"}` {
		t.Errorf("%s and %s", p.GetQuery(), p.GetMaxAgeOf())
	}
	tcp := &releasev1.Check{Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
	if got, err := criterion.Resolve(tcp, names); err != nil || got != tcp {
		t.Errorf("of another kind: %v, %v", got, err)
	}
	for _, field := range []*releasev1.Check{asked(`x{d="{digest}"}`), asked(`x`, func(p *releasev1.PrometheusProbe) { p.MaxAgeOf = `x{d="{digest}"}` })} {
		if got, err := criterion.Resolve(field, criterion.Names{Target: "eu1"}); err == nil || !strings.HasPrefix(err.Error(), "prometheus.") {
			t.Errorf("without a digest: %v, %v", got, err)
		}
	}
}

// TestNothingBreaksOutOfItsQuotes: whatever a name is, it is refused, or stands where it was
// put and changes nothing around it.
func TestNothingBreaksOutOfItsQuotes(t *testing.T) {
	for _, hostile := range []string{
		`"`, `'`, "`", `\`, `a"} or vector(1) #`, "a'} or vector(1)", "a`} or vector(1)", "a\n", `.*`, "a|b", "{target}", "", "é", "a\u202eb", strings.Repeat("a", 129),
	} {
		for _, query := range []string{`x{t="{target}"}`, `x{t='{target}'}`, "x{t=`{target}`}", `x{t=~"a{target}b"}`} {
			if got, err := criterion.Resolve(asked(query), criterion.Names{Target: hostile}); err == nil {
				t.Errorf("%q in %s is %s", hostile, query, got.GetPrometheus().GetQuery())
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		quote := rapid.SampledFrom([]string{`"`, `'`, "`"}).Draw(t, "quote")
		got, err := criterion.Resolve(asked("x{t="+quote+"<{target}>"+quote+"} > 1"), criterion.Names{Target: value})
		if err != nil {
			return
		}
		inner, ok := strings.CutPrefix(got.GetPrometheus().GetQuery(), "x{t="+quote+"<")
		inner, also := strings.CutSuffix(inner, ">"+quote+"} > 1")
		if !ok || !also || inner != value || strings.ContainsAny(inner, "\"'`\\{}[]()|.*+?^$#\n") {
			t.Errorf("%q became %s", value, got.GetPrometheus().GetQuery())
		}
	})
}
