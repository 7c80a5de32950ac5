package promcheck_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/promtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/promcheck"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// prober asks a source that is called metrics.
func prober(t *testing.T, url string) promcheck.Prober {
	t.Helper()
	sources, err := metrics.Open([]*configv1.MetricSource{{Name: "metrics", Url: url}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return promcheck.Prober{Sources: sources}
}

// change changes a probe.
type change = func(*releasev1.PrometheusProbe)

// atMost is a check of a query's value.
func atMost(most float64, query string, changes ...change) *releasev1.Check {
	p := &releasev1.PrometheusProbe{Source: "metrics", Query: query, Range: &releasev1.NumberRange{Max: proto.Float64(most)}}
	for _, c := range changes {
		c(p)
	}
	return &releasev1.Check{Name: "metric", Probe: &releasev1.Check_Prometheus{Prometheus: p}}
}

func over(all, step time.Duration) change {
	return func(p *releasev1.PrometheusProbe) { p.Over, p.Step = durationpb.New(all), durationpb.New(step) }
}

func series(least, most uint32) change {
	return func(p *releasev1.PrometheusProbe) { p.MinSeries, p.MaxSeries = proto.Uint32(least), proto.Uint32(most) }
}

func points(n uint32) change {
	return func(p *releasev1.PrometheusProbe) { p.MinPoints = proto.Uint32(n) }
}

func share(s float64) change {
	return func(p *releasev1.PrometheusProbe) { p.MinShare = proto.Float64(s) }
}

func age(most time.Duration, of string) change {
	return func(p *releasev1.PrometheusProbe) { p.MaxAge, p.MaxAgeOf = durationpb.New(most), of }
}

// TestProbeAsksARealPrometheus has series that are well, are not, are old, are too many, and
// are no numbers, as a real server tells of them.
func TestProbeAsksARealPrometheus(t *testing.T) {
	server := promtest.Start(t)
	now := time.Now()
	ago := func(d time.Duration, value float64) promtest.Value {
		return promtest.Value{Time: now.Add(-d), Value: value}
	}
	write := func(name, label string, values ...promtest.Value) {
		t.Helper()
		labels := map[string]string{"__name__": name}
		if label != "" {
			labels["instance"] = label
		}
		server.Write(t, labels, values...)
	}
	// A minute of values, 5 s apart, the newest of now; at every third place another one.
	minute := func(value, third float64) (all []promtest.Value) {
		for i := 12; i >= 0; i-- {
			v := value
			if i%3 == 1 {
				v = third
			}
			all = append(all, ago(time.Duration(i)*5*time.Second, v))
		}
		return all
	}
	write("errors", "", minute(0.001, 0.001)...)
	write("latency", "", minute(0.1, 0.9)...)
	write("queue", "a", ago(time.Second, 3))
	write("queue", "b", ago(time.Second, 4))
	write("queue", "c", ago(time.Second, 50))
	write("old", "", ago(2*time.Minute, 1))
	write("older", "", ago(10*time.Minute, 1))
	write("mixed", "a", ago(time.Second, 1))
	write("mixed", "b", ago(2*time.Minute, 1))
	write("nothing", "", ago(time.Second, math.NaN()))
	write("endless", "", ago(time.Second, math.Inf(1)))
	write("zero", "", ago(time.Second, 0))
	write("gone", "", ago(30*time.Second, 1), ago(10*time.Second, promtest.Stale()))
	write("young", "", ago(10*time.Second, 1), ago(5*time.Second, 1), ago(0, 1))

	for _, test := range []struct {
		name   string
		check  *releasev1.Check
		want   check.Outcome
		detail string
	}{
		{"a value within", atMost(0.01, "errors"), check.Passed, "0.001"},
		{"a value above", atMost(0.0005, "errors"), check.Failed, "0.001, expected at most 0.0005"},
		{"a computation", atMost(0, "errors - on() errors"), check.Passed, "0"},
		{"no series", atMost(1, `errors{instance="none"}`), check.Error, "no data"},
		{"a name of nobody", atMost(1, "error"), check.Error, "no data"},
		{"a series that ended", atMost(1, "gone"), check.Error, "no data"},
		{"a series that ended too long ago", atMost(1, "older"), check.Error, "no data"},
		{"no number", atMost(1, "nothing"), check.Error, "1 of 1 values are no numbers: NaN"},
		{"no division", atMost(1, "zero / zero"), check.Error, "no numbers: NaN"},
		{"without an end", atMost(math.MaxFloat64, "endless"), check.Error, "no numbers: +Inf"},
		{"by nothing", atMost(math.MaxFloat64, "errors / on() zero"), check.Error, "no numbers: +Inf"},
		{"a number alone", atMost(1, "scalar(errors)"), check.Error, "not a vector"},
		{"a text", atMost(1, `"errors"`), check.Error, "not a vector"},
		{"a span in the query", atMost(1, "errors[1m]"), check.Error, "not a vector"},
		{"a query that is none", atMost(1, "sum(errors) by"), check.Error, "status 400 bad_data"},
		{"a computation of several on one", atMost(1, "queue + on() queue"), check.Error, "status 422 execution"},

		{"more series than one", atMost(100, "queue"), check.Error, "3 series, at most 1 are allowed"},
		{"as many series as there may be", atMost(100, "queue", series(1, 3)), check.Passed, "3, 4, 50"},
		{"one of several above", atMost(10, "queue", series(1, 3)), check.Failed, "50, expected at most 10"},
		{"fewer series than there must be", atMost(100, "queue", series(4, 5)), check.Error, "3 series, at least 4 are needed"},
		{"all of them as one", atMost(100, "sum(queue)"), check.Passed, "57"},

		{"old enough to be asked for", atMost(1, "old"), check.Passed, ""},
		{"too old", atMost(1, "old", age(time.Minute, "")), check.Error, "the newest sample is 2m"},
		{"young enough", atMost(1, "errors", age(time.Minute, "")), check.Passed, ""},
		{"too old for a computation", atMost(1, "sum(old)", age(time.Minute, "old")), check.Error, "the newest sample is 2m"},
		{"one of several too old", atMost(1, "sum(mixed)", age(time.Minute, "mixed")), check.Error, "at most 1m0s are allowed"},
		{"gone from what a computation rests on", atMost(1, "sum(errors)", age(time.Minute, "older")), check.Error, "how old the samples are: no answer from the source: no data"},
		{"young enough for a computation", atMost(1, "sum(errors)", age(time.Minute, `errors`)), check.Passed, ""},

		{"a minute that is well", atMost(0.01, "errors", over(time.Minute, 10*time.Second), points(7)), check.Passed, "enough points are at most 0.01"},
		{"a minute that is not", atMost(0.5, "latency", over(time.Minute, 5*time.Second)), check.Failed, "points are at most 0.5"},
		{"a minute of which enough is well", atMost(0.5, "latency", over(time.Minute, 5*time.Second), share(0.5)), check.Passed, ""},
		{"a minute of which not enough is well", atMost(0.5, "latency", over(time.Minute, 5*time.Second), share(0.9)), check.Failed, ""},
		{"a minute of which nothing is there", atMost(1, "error", over(time.Minute, 5*time.Second)), check.Error, "no data"},
		{"a minute that just began", atMost(1, "young", over(time.Minute, 5*time.Second), points(8)), check.Error, "points, at least 8 are needed"},
		{"a minute that just began, and that is enough", atMost(1, "young", over(time.Minute, 5*time.Second), points(2)), check.Passed, ""},
		{"minutes without an end", atMost(1, "gone", over(time.Minute, 5*time.Second), age(5*time.Second, "errors")), check.Error, "it ended"},
		{"minutes of no number", atMost(1, "errors / on() zero", over(time.Minute, 5*time.Second)), check.Error, "no numbers"},
		{"minutes of several", atMost(100, "queue", over(time.Minute, 5*time.Second), points(1)), check.Error, "3 series, at most 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if found := criterion.Faults(test.check); len(found) > 0 {
				t.Fatal(found)
			}
			p := prober(t, server.URL)
			p.Now = func() time.Time { return now }
			got := p.Probe(t.Context(), nil, test.check)
			if got.Outcome != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, test.want, test.detail)
			}
			if got.Outcome != check.Error && (got.Measured == nil || len(got.Measured.Series) == 0 || len(got.Measured.Series[0].Values) == 0) {
				t.Errorf("no values were kept: %+v", got.Measured)
			}
		})
	}
}

// TestValuesOfASpanComeWithTheirAge: of each time the value, and when the oldest of the newest
// samples was taken that it rests on, as a real server tells of them.
func TestValuesOfASpanComeWithTheirAge(t *testing.T) {
	server := promtest.Start(t)
	end := time.Now().Truncate(10 * time.Second)
	for i := range 7 {
		at := end.Add(time.Duration(i-6) * 10 * time.Second)
		server.Write(t, map[string]string{"__name__": "errors", "instance": "a"}, promtest.Value{Time: at.Add(-time.Second), Value: float64(i)})
		if i%2 == 0 {
			server.Write(t, map[string]string{"__name__": "errors", "instance": "b"}, promtest.Value{Time: at.Add(-2 * time.Second), Value: float64(i)})
		}
	}
	ask := func(source, query, of string) ([]metrics.Series, []metrics.Series, error) {
		c := atMost(1, query, age(time.Minute, of))
		c.GetPrometheus().Source = source
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return prober(t, server.URL).Values(ctx, c, end.Add(-40*time.Second), end, 10*time.Second)
	}
	values, sampled, err := ask("metrics", "sum(errors)", "errors")
	if err != nil || len(values) != 1 || len(sampled) != 1 || len(values[0]) != 5 || len(sampled[0]) != 5 {
		t.Fatalf("%v and %v, %v", values, sampled, err)
	}
	// b has a sample at every other time, and is then two seconds old, or twelve.
	for i, want := range []float64{2, 12, 2, 12, 2} {
		at := end.Add(time.Duration(i-4) * 10 * time.Second)
		n, ok := sampled[0][i].Number()
		if !values[0][i].Time.Equal(at) || !sampled[0][i].Time.Equal(at) || !ok || at.Sub(metrics.At(n)) != time.Duration(want)*time.Second {
			t.Errorf("%d: %v of %v, want it %v s old", i, values[0][i], sampled[0][i], want)
		}
	}
	if values, sampled, err := ask("metrics", "nothing", "nothing"); err != nil || len(values) != 0 || len(sampled) != 0 {
		t.Errorf("of nothing: %v and %v, %v", values, sampled, err)
	}
	if values, _, err := ask("metrics", "errors", "errors"); err != nil || len(values) != 2 {
		t.Errorf("of two series: %v, %v", values, err)
	}
	for _, wrong := range [][3]string{{"others", "errors", "errors"}, {"metrics", "errors)", "errors"}, {"metrics", "errors", "errors)"}} {
		if _, _, err := ask(wrong[0], wrong[1], wrong[2]); err == nil {
			t.Errorf("%v is answered", wrong)
		}
	}
}

// TestWhatIsNoAnswerIsNeverAPass; what else a source may say is in the tests of package
// metrics.
func TestWhatIsNoAnswerIsNeverAPass(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		check   *releasev1.Check
		detail  string
	}{
		{"silence", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, atMost(1, "up", func(p *releasev1.PrometheusProbe) { p.Timeout = durationpb.New(100 * time.Millisecond) }), "not in time"},
		{"a server that fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, atMost(1, "up"), "status 500"},
		{"a value of long ago", says(`[{"metric":{},"value":[1000,"1"]}]`), atMost(1, "up"), "it ended"},
		{"no age", says(`[]`, `[{"metric":{},"value":[%[1]s,"1"]}]`), atMost(1, "up", age(time.Minute, "")), "no data"},
		{"an age of the future", says(`[{"metric":{},"value":[%[1]s,"9e12"]}]`, `[{"metric":{},"value":[%[1]s,"1"]}]`), atMost(1, "up", age(time.Minute, "")), "no time that was"},
		{"no number for an age", says(`[{"metric":{},"value":[%[1]s,"NaN"]}]`, `[{"metric":{},"value":[%[1]s,"1"]}]`), atMost(1, "up", age(time.Minute, "")), "no time that was"},
		{"two ages", says(`[{"metric":{},"value":[%[1]s,"1"]},{"metric":{"a":"1"},"value":[%[1]s,"1"]}]`, `[{"metric":{},"value":[%[1]s,"1"]}]`), atMost(1, "up", age(time.Minute, "")), "no data"},
		{"more series than anybody keeps", says("[" + strings.TrimSuffix(many(5000), ",") + "]"), atMost(1, "up", series(1, 20)), "5000 series, at most 20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			got := prober(t, server.URL).Probe(t.Context(), nil, test.check)
			if got.Outcome != check.Error || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("Probe = %v %q, want an error: %s", got.Outcome, got.Detail, test.detail)
			}
			if got.Measured != nil && len(got.Measured.Series) > 20 {
				t.Errorf("%d series were kept", len(got.Measured.Series))
			}
		})
	}
}

func TestASourceThatIsNotConfiguredIsAnError(t *testing.T) {
	p := prober(t, "http://127.0.0.1:1/below")
	c := atMost(1, "up")
	c.GetPrometheus().Source = "another"
	if got := p.Probe(t.Context(), nil, c); got.Outcome != check.Error || got.Detail != `no source of metrics "another" is configured` {
		t.Errorf("Probe = %v %q", got.Outcome, got.Detail)
	}
	if p.Place("metrics") != "http://127.0.0.1:1/below" || p.Place("another") != "" {
		t.Errorf("Place = %q, and %q of nothing", p.Place("metrics"), p.Place("another"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := p.Probe(ctx, nil, atMost(1, "up")); got.Outcome != check.Error {
		t.Errorf("Probe = %v %q", got.Outcome, got.Detail)
	}
}

// says is a source that answers questions of ages with the first, and all others with the
// last result; %[1]s is the time that was asked for.
func says(results ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result := results[len(results)-1]
		if strings.HasPrefix(r.FormValue("query"), "min(timestamp(") {
			result = results[0]
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":`+result+`}}%.0[1]s`, r.FormValue("time")) //nolint:gosec // It is no page, and nobody but the test reads it.
	}
}

// many are series of which each has labels of its own.
func many(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `{"metric":{"a":"%d"},"value":[%%[1]s,"1"]},`, i)
	}
	return out.String()
}
