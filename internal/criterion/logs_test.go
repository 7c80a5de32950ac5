package criterion_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// holds is a filter of lines that have a text.
func holds(text string) *releasev1.LineFilter {
	return &releasev1.LineFilter{Filter: &releasev1.LineFilter_Contains{Contains: text}}
}

// matches is a filter of lines that an expression matches.
func matches(text string) *releasev1.LineFilter {
	return &releasev1.LineFilter{Filter: &releasev1.LineFilter_Matches{Matches: text}}
}

// logged is a check of logs that nothing is wrong with, but for these changes.
func logged(changes ...func(*releasev1.LogProbe)) *releasev1.Check {
	p := &releasev1.LogProbe{
		Source: "logs", Selector: `{app="shop",target="{target}"}`, Lines: []*releasev1.LineFilter{holds("error")},
		Range: &releasev1.NumberRange{Max: proto.Float64(0)}, Over: durationpb.New(10 * time.Minute),
	}
	for _, change := range changes {
		change(p)
	}
	return &releasev1.Check{Name: "logged", Probe: &releasev1.Check_Logs{Logs: p}}
}

func TestFaultsOfChecksOfLogs(t *testing.T) {
	selector := func(s string) *releasev1.Check {
		return logged(func(p *releasev1.LogProbe) { p.Selector = s })
	}
	lines := func(all ...*releasev1.LineFilter) *releasev1.Check {
		return logged(func(p *releasev1.LogProbe) { p.Lines = all })
	}
	for _, test := range []struct {
		name  string
		check *releasev1.Check
		// want is the field and the rule; "" for none.
		want, says string
	}{
		{"good", logged(), "", ""},
		{"every kind of matcher", selector("{ app = \"shop\", env!=\"test\",pod=~`shop-{target}-.+`,\n job!~\"a|b\" }"), "", ""},
		{"no selector", selector("app"), "selector logs.selector", "a stream selector alone"},
		{"no streams", selector("{}"), "selector logs.selector", "a stream selector alone"},
		{"more than a selector", selector(`{app="shop"} |= "x"`), "selector logs.selector", "a stream selector alone"},
		{"a count of its own", selector(`count_over_time({app="shop"}[5m])`), "selector logs.selector", "a stream selector alone"},
		{"a selector that goes on", selector(`{app="shop"} [1s])) or vector(0) # `), "selector logs.selector", "comment"},
		{"a second selector", selector(`{app="shop"} or {app="other"}`), "selector logs.selector", "a stream selector alone"},
		{"quotes that are not closed", selector(`{app="shop}`), "selector logs.selector", "not closed"},
		{"quotes that LogQL has not", selector(`{app='shop'}`), "selector logs.selector", "single quotes"},
		{"an escape that LogQL has not", selector(`{app="\d",a="b"}`), "selector logs.selector", "no text of LogQL"},
		{"the streams of everybody", selector(`{app=~".*"}`), "selector logs.selector", "selects the streams of everybody"},
		{"streams without something", selector(`{app!="shop"}`), "selector logs.selector", "selects the streams of everybody"},
		{"streams of nothing", selector(`{app=""}`), "selector logs.selector", "selects the streams of everybody"},
		{"no expression in a selector", selector(`{app="shop",pod=~"("}`), "selector logs.selector", "no regular expression"},
		{"a placeholder of nobody", selector(`{app="{host}"}`), "selector logs.selector", "{host} stands for nothing"},
		{"a placeholder outside of quotes", selector(`{app={target}}`), "selector logs.selector", ""},
		{"no expression", lines(matches("(")), "lines[0] logs.expression", "no regular expression"},
		{"what only other engines know", lines(holds("x"), matches(`(?=a)`)), "lines[1] logs.expression", "no regular expression"},
		{"nothing but spaces", lines(holds("  ")), "lines[0] logs.blank", "spaces"},
		{"a placeholder in a pattern, which would never match", lines(holds("on {target}")), "lines[0] logs.placeholder", "{target} stands for nothing here"},
		{"braces that are no placeholder", lines(holds(`{"level":"{error}"}`)), "", ""},
		{"a query without an end", lines(holds(strings.Repeat(`"`, 256)), holds(strings.Repeat(`"`, 256)), holds(strings.Repeat(`"`, 256)), holds(strings.Repeat(`"`, 256))), "lines logs.long", "at most 2048"},
		{"a count that there never is", logged(func(p *releasev1.LogProbe) { p.Range.Max = proto.Float64(-1) }), "range.max logs.count", "never fewer than 0"},
		{"a silence before the window", logged(func(p *releasev1.LogProbe) { p.MaxSilence = durationpb.New(time.Hour) }), "max_silence logs.silence", "not be longer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := criterion.Faults(test.check)
			if test.want == "" {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Field+" "+found[0].Rule != "logs."+test.want || !strings.Contains(found[0].Message, test.says) {
				t.Errorf("%v, want %s: %s", found, test.want, test.says)
			}
		})
	}
}

// TestAPatternStaysWithinItsQuotes: whatever a pattern has in it, what is asked is a count of
// lines that have it, and no other query.
func TestAPatternStaysWithinItsQuotes(t *testing.T) {
	for _, text := range []string{`error`, `"`, `\`, `\"`, "`", `" [1s])) or vector(0) # `, `a\`, "a\nb", "\x00", "ä\u202e", `{app="x"}`} {
		p := logged(func(p *releasev1.LogProbe) { p.Lines = []*releasev1.LineFilter{holds(text)} }).GetLogs()
		query := criterion.CountLines(p, 90*time.Second)
		rest, found := strings.CutPrefix(query, `sum(count_over_time({app="shop",target="{target}"} |= `)
		quoted, err := strconv.QuotedPrefix(rest)
		if !found || err != nil || rest[len(quoted):] != ` [90000ms]))` {
			t.Fatalf("%q: %s", text, query)
		}
		if back, err := strconv.Unquote(quoted); err != nil || back != text || strings.ContainsAny(query, "\n\x00") {
			t.Errorf("%q is asked for as %q", text, back)
		}
	}
	p := logged(func(p *releasev1.LogProbe) {
		p.Lines = []*releasev1.LineFilter{
			matches("a|b"), {Filter: &releasev1.LineFilter_Lacks{Lacks: "c"}}, {Filter: &releasev1.LineFilter_Misses{Misses: "d+"}},
		}
	})
	asked, err := criterion.Resolve(p, criterion.Names{Target: "eu1", Service: "shop", Environment: "production", Digest: "sha256:aa"})
	if err != nil {
		t.Fatal(err)
	}
	if got := criterion.CountLines(asked.GetLogs(), time.Second); got != `sum(count_over_time({app="shop",target="eu1"} |~ "a|b" != "c" !~ "d+" [1000ms]))` {
		t.Error(got)
	}
	if got := criterion.CountFlow(asked.GetLogs(), time.Second); got != `sum(count_over_time({app="shop",target="eu1"} [1000ms]))` {
		t.Error(got)
	}
	if _, err := criterion.Resolve(p, criterion.Names{Target: `x"} or {a="b`}); err == nil || !strings.Contains(err.Error(), "logs.selector: ") {
		t.Errorf("a name that would end its quotes: %v", err)
	}
}

// TestLinesAreCountedSinceTheChange, and never further back than over.
func TestLinesAreCountedSinceTheChange(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	silence := func(p *releasev1.LogProbe) { p.MaxSilence = durationpb.New(time.Minute) }
	for _, test := range []struct {
		name         string
		check        *releasev1.Check
		since        time.Time
		window, flow time.Duration
	}{
		{"a while ago", logged(), now.Add(-90 * time.Second), 90 * time.Second, 90 * time.Second},
		{"to the millisecond", logged(), now.Add(-1234567 * time.Microsecond), 1234 * time.Millisecond, 1234 * time.Millisecond},
		{"long ago", logged(), now.Add(-time.Hour), 10 * time.Minute, 10 * time.Minute},
		{"nobody knows when", logged(), time.Time{}, 10 * time.Minute, 10 * time.Minute},
		{"by a clock that is ahead", logged(), now.Add(time.Second), 0, 0},
		{"with a shorter silence", logged(silence), now.Add(-5 * time.Minute), 5 * time.Minute, time.Minute},
		{"with a silence that is longer than that", logged(silence), now.Add(-time.Second), time.Second, time.Second},
	} {
		if got := criterion.CountingOf(test.check.GetLogs(), test.since, now); got != (criterion.Counting{Window: test.window, Flow: test.flow}) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// TestABakeIsLongEnoughForACheckOfLogs, which is not made before the lines can be there.
func TestABakeIsLongEnoughForACheckOfLogs(t *testing.T) {
	for _, test := range []struct {
		bake, interval time.Duration
		check          *releasev1.Check
		good           bool
	}{
		{12 * time.Second, 2 * time.Second, logged(), true},
		{11 * time.Second, 2 * time.Second, logged(), true},
		{10 * time.Second, 2 * time.Second, logged(), false},
		{9 * time.Second, 2 * time.Second, logged(), false},
		{3 * time.Second, time.Second, logged(func(p *releasev1.LogProbe) { p.Settle = durationpb.New(2 * time.Second) }), true},
		{2 * time.Second, time.Second, logged(func(p *releasev1.LogProbe) { p.Settle = durationpb.New(2 * time.Second) }), false},
		{time.Second, time.Second, asked("up"), true},
	} {
		if got := criterion.Unsettled(test.check, test.bake, test.interval); (got == "") != test.good {
			t.Errorf("%s every %s: %q", test.bake, test.interval, got)
		}
	}
}
