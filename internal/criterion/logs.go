package criterion

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DefaultSettle is how long after the change lines are counted for the first time where the
// check does not say it: what was just written is not yet in the source.
const DefaultSettle = 10 * time.Second

// Settle is how long after the change a check of logs is made for the first time; 0 for every
// other kind of check.
func Settle(c *releasev1.Check) time.Duration {
	p := c.GetLogs()
	switch {
	case p == nil:
		return 0
	case p.GetSettle() == nil:
		return DefaultSettle
	}
	return p.GetSettle().AsDuration()
}

// Counting is over which times a check of logs counts: Window is that of the lines, Flow that of
// all lines of the streams. Both end when it is asked, and are whole milliseconds.
type Counting struct{ Window, Flow time.Duration }

// CountingOf is over which times lines are counted at a time, where the change began at another;
// zero is for a change of which nobody knows when that was. Where there is nothing between them
// yet, so is the window.
func CountingOf(p *releasev1.LogProbe, since, asked time.Time) Counting {
	window := p.GetOver().AsDuration()
	if !since.IsZero() {
		window = min(window, asked.Sub(since))
	}
	window = max(window, 0).Truncate(time.Millisecond)
	flow := window
	if p.GetMaxSilence() != nil {
		flow = min(window, p.GetMaxSilence().AsDuration().Truncate(time.Millisecond))
	}
	return Counting{Window: window, Flow: flow}
}

// CountLines is the query, in LogQL, of how many lines there were over that window which are as a
// check of logs says; CountFlow of how many there were of any kind. Placeholders are as they are.
func CountLines(p *releasev1.LogProbe, window time.Duration) string {
	return counted(p.GetSelector()+filters(p), window)
}

// CountFlow is described at CountLines.
func CountFlow(p *releasev1.LogProbe, window time.Duration) string {
	return counted(p.GetSelector(), window)
}

// counted is the query of how many lines of streams there were.
func counted(streams string, window time.Duration) string {
	return fmt.Sprintf("sum(count_over_time(%s [%dms]))", streams, window.Milliseconds())
}

// lineFilter is how a filter of lines is written and told.
type lineFilter struct{ operator, words, text string }

func lineFilterOf(f *releasev1.LineFilter) lineFilter {
	switch of := f.GetFilter().(type) {
	case *releasev1.LineFilter_Contains:
		return lineFilter{"|=", "have", of.Contains}
	case *releasev1.LineFilter_Lacks:
		return lineFilter{"!=", "do not have", of.Lacks}
	case *releasev1.LineFilter_Matches:
		return lineFilter{"|~", "match", of.Matches}
	case *releasev1.LineFilter_Misses:
		return lineFilter{"!~", "do not match", of.Misses}
	}
	return lineFilter{}
}

// filters are the filters of a check as LogQL has them. Texts are in quotes that escape whatever
// would end them, as Go and LogQL both read them.
func filters(p *releasev1.LogProbe) string {
	var out strings.Builder
	for _, each := range p.GetLines() {
		f := lineFilterOf(each)
		out.WriteString(" " + f.operator + " " + strconv.Quote(f.text))
	}
	return out.String()
}

func logsLooks(c *releasev1.Check) string {
	p := c.GetLogs()
	return "logs of " + p.GetSource() + " are counted in " + strconv.Quote(p.GetSelector())
}

func logsExpects(c *releasev1.Check) []string {
	p := c.GetLogs()
	var lines []string
	for _, each := range p.GetLines() {
		f := lineFilterOf(each)
		lines = append(lines, f.words+" "+strconv.Quote(f.text))
	}
	longest := CountingOf(p, time.Time{}, time.Time{})
	return []string{
		"the lines that " + strings.Join(lines, " and ") + " are " + Bounds(p.GetRange()),
		"since the change and in the last " + longest.Window.String() + " at most",
		"some line is there in the last " + longest.Flow.String(),
		"not before " + Settle(c).String() + " after the change",
	}
}

// stream is a stream selector whose quotes hold nothing.
var stream = regexp.MustCompile(`^\s*\{\s*` + matcher + `(,\s*` + matcher + `)*\}\s*$`)

const matcher = `[A-Za-z_][A-Za-z0-9_]*\s*(=|!=|=~|!~)\s*""\s*`

// known are placeholders of a selector.
var known = regexp.MustCompile(`\{(target|service|environment|digest)\}`)

// logsFaults are what a schema cannot say.
func logsFaults(c *releasev1.Check) (all []Fault) {
	p := c.GetLogs()
	say := func(field, rule, format string, args ...any) {
		all = append(all, Fault{Field: "logs." + field, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	if err := selects(p.GetSelector()); err != nil {
		say("selector", "logs.selector", "%v", err)
	} else if filled, err := fill(p.GetSelector(), longest); err != nil {
		say("selector", "logs.selector", "%v", err)
	} else if n := len(counted(filled+filters(p), 24*time.Hour)); n > maxQuery {
		say("lines", "logs.long", "with the selector and what its placeholders stand for that is a query of %d bytes, at most %d are asked", n, maxQuery)
	}
	for i, each := range p.GetLines() {
		f := lineFilterOf(each)
		if known := known.FindString(f.text); known != "" {
			say(fmt.Sprintf("lines[%d]", i), "logs.placeholder", "%s stands for nothing here: name it in the selector", known)
		}
		if f.operator == "|~" || f.operator == "!~" {
			if err := expression(f.text); err != nil {
				say(fmt.Sprintf("lines[%d]", i), "logs.expression", "%v", err)
			}
		} else if f.text != "" && strings.TrimSpace(f.text) == "" {
			say(fmt.Sprintf("lines[%d]", i), "logs.blank", "it is nothing but spaces, which most lines have")
		}
	}
	if r := p.GetRange(); r != nil && r.Max != nil && r.GetMax() < 0 {
		say("range.max", "logs.count", "there are never fewer than 0 lines")
	}
	if silence := p.GetMaxSilence(); silence != nil && p.GetOver() != nil && silence.AsDuration() > p.GetOver().AsDuration() {
		say("max_silence", "logs.silence", "must not be longer than over: nothing further back is asked for")
	}
	return all
}

// selects says why a text is no stream selector, or one that selects whatever there is.
func selects(selector string) error {
	all, err := pieces(selector)
	if err != nil {
		return err
	}
	var outside strings.Builder
	narrow := false
	for _, p := range all {
		if p.quote == 0 {
			outside.WriteString(p.text)
			continue
		}
		if p.quote == '\'' {
			return errors.New("LogQL has no texts in single quotes")
		}
		value, err := strconv.Unquote(string(p.quote) + p.text + string(p.quote))
		if err != nil {
			return fmt.Errorf("%c%s%c is no text of LogQL", p.quote, p.text, p.quote)
		}
		before := strings.TrimRight(outside.String(), " \t\n")
		switch {
		case strings.HasSuffix(before, "=~"), strings.HasSuffix(before, "!~"):
			// What stands for a placeholder means itself in an expression.
			if err := expression(placeholder.ReplaceAllString(value, "x")); err != nil {
				return err
			}
		case strings.HasSuffix(before, "=") && !strings.HasSuffix(before, "!=") && value != "":
			narrow = true
		}
		outside.WriteString(`""`)
	}
	switch {
	case !stream.MatchString(outside.String()):
		return errors.New(`must be a stream selector alone, such as {app="shop", target="{target}"}; what lines must be is said in lines`)
	case !narrow:
		return errors.New("must have one label at least that equals something, or it selects the streams of everybody")
	}
	return nil
}

// expression says why a text is no regular expression.
func expression(text string) error {
	if _, err := regexp.Compile(text); err != nil {
		var wrong *syntax.Error
		if errors.As(err, &wrong) {
			return fmt.Errorf("%q is no regular expression: %s", text, wrong.Code)
		}
		return fmt.Errorf("%q is no regular expression", text)
	}
	return nil
}

// Unsettled says why a bake is too short for a check of logs, which is made so late that too few
// of its samples are left; "" where it is not.
func Unsettled(c *releasev1.Check, bake, interval time.Duration) string {
	if c.GetLogs() == nil || bake <= 0 || interval <= 0 {
		return ""
	}
	needed := 2
	if c.MinSamples != nil {
		needed = int(c.GetMinSamples())
	}
	settle := Settle(c)
	left := 0
	if bake >= settle {
		// Those at whole intervals from the beginning, and that at the end.
		first := (settle + interval - 1) / interval
		left = max(int(bake/interval-first)+1, 0)
		if bake%interval != 0 {
			left++
		}
	}
	if left >= needed {
		return ""
	}
	return fmt.Sprintf("must be longer for check %s: it is made for the first time %s after the change, so that %d samples are left, and %d are needed",
		c.GetName(), settle, left, needed)
}

// Source is the name of the source that a check asks, and whether that is one of logs; "" where it
// asks none.
func Source(c *releasev1.Check) (name string, ofLogs bool) {
	if p := c.GetLogs(); p != nil {
		return p.GetSource(), true
	}
	return c.GetPrometheus().GetSource(), false
}

// Unasked are the first checks that ask each source which is not among those of their kind.
func Unasked(checks []*releasev1.Check, metrics, logs []string) (all []*releasev1.Check) {
	said := map[string]bool{}
	for _, c := range checks {
		name, ofLogs := Source(c)
		configured, key := metrics, "metrics "+name
		if ofLogs {
			configured, key = logs, "logs "+name
		}
		if name == "" || said[key] || slices.Contains(configured, name) {
			continue
		}
		said[key] = true
		all = append(all, c)
	}
	return all
}
