package freeze_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// jumps are moments near which a clock jumps, by zone.
var jumps = map[string][]string{
	"Europe/Berlin":       {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
	"America/New_York":    {"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
	"Australia/Lord_Howe": {"2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"},
	"UTC":                 {"2028-02-29T00:00:00Z", "2026-12-31T23:59:00Z", "2028-12-31T12:00:00Z", "2048-12-31T12:00:00Z"},
}

// How many minutes before and after the drawn moment the model looks at.
const (
	before = 16 * 24 * 60
	after  = 24 * 24 * 60
)

// model says of every minute of a span what holds, without any knowledge of time zones
// but what a clock shows at a minute, and of rules but what they say of a day.
type model struct {
	origin  time.Time
	denied  []bool
	allowed []bool             // nil while nothing allows
	clocks  map[string][]int64 // what a clock shows, in minutes, at every minute
}

func newModel(at time.Time) *model {
	return &model{origin: at.Add(-before * time.Minute), denied: make([]bool, before+after), clocks: make(map[string][]int64)}
}

func (m *model) frozen(i int) bool { return m.denied[i] || m.allowed != nil && !m.allowed[i] }

func (m *model) clock(zone string) []int64 {
	if m.clocks[zone] == nil {
		location, err := time.LoadLocation(zone)
		if err != nil {
			panic(err)
		}
		shown := make([]int64, len(m.denied))
		for i := range shown {
			_, offset := m.origin.Add(time.Duration(i) * time.Minute).In(location).Zone()
			shown[i] = (m.origin.Unix() + int64(i)*60 + int64(offset)) / 60
		}
		m.clocks[zone] = shown
	}
	return m.clocks[zone]
}

// mark notes a window whose occurrences are given by what its clock shows, in minutes.
func (m *model) mark(freeze *policyv1.Freeze, zone string, occurrences [][2]int64) {
	marks := m.denied
	if freeze.GetKind() == policyv1.Freeze_KIND_ALLOW {
		if m.allowed == nil {
			m.allowed = make([]bool, len(m.denied))
		}
		marks = m.allowed
	}
	if span := freeze.GetOnce(); span != nil {
		for i := range marks {
			minute := m.origin.Add(time.Duration(i) * time.Minute)
			if (span.GetStart() == nil || !minute.Before(span.GetStart().AsTime())) && (span.GetEnd() == nil || minute.Before(span.GetEnd().AsTime())) {
				marks[i] = true
			}
		}
		return
	}
	shown := m.clock(zone)
	for _, o := range occurrences {
		start, end := len(shown), 0
		// No clock is changed by more than two days.
		for i := max(0, int(o[0]-shown[0])-2*24*60); i < min(len(shown), int(o[1]-shown[0])+2*24*60); i++ {
			if shown[i] >= o[0] {
				start = min(start, i)
			}
			if shown[i] < o[1] {
				end = i + 1
			}
		}
		for i := start; i < end; i++ {
			marks[i] = true
		}
	}
}

// weeks are the occurrences of a weekly freeze, those at the rim of the span among them.
func (m *model) weeks(freeze *policyv1.Freeze) [][2]int64 {
	ofWeek := func(day policyv1.Weekly_Day, text string) int64 {
		var hour, minute int64
		if _, err := fmt.Sscanf(text, "%d:%d", &hour, &minute); err != nil {
			panic(err)
		}
		return int64(day-1)*24*60 + hour*60 + minute
	}
	const week = 7 * 24 * 60
	from := ofWeek(freeze.GetWeekly().GetFromDay(), freeze.GetWeekly().GetFromTime())
	to := ofWeek(freeze.GetWeekly().GetToDay(), freeze.GetWeekly().GetToTime())
	if to < from {
		to += week
	}
	first := m.origin.Unix() / 60
	var out [][2]int64
	// 1970-01-05 was a Monday.
	for monday := (first/week-2)*week + 4*24*60; monday < first+int64(len(m.denied))+week; monday += week {
		out = append(out, [2]int64{monday + from, monday + to})
	}
	return out
}

func drawFreeze(t *rapid.T, name string, at time.Time) *policyv1.Freeze {
	if rapid.IntRange(0, 3).Draw(t, name+" kind") == 0 {
		start := at.Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, name+" start")) * time.Minute)
		return once(name, start, start.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, name+" length"))*time.Minute))
	}
	return drawWeekly(t, name)
}

func drawWeekly(t *rapid.T, name string) *policyv1.Freeze {
	zone := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}).Draw(t, name+" zone")
	// Sunday, where the clocks jump, more often than other days; hours of the jump, too.
	day := rapid.SampledFrom([]policyv1.Weekly_Day{1, 2, 3, 4, 5, 6, 7, 7, 7, 7})
	hour := rapid.SampledFrom([]int{0, 1, 1, 2, 2, 2, 3, 3, 9, 18, 23})
	clock := func(label string) string {
		return fmt.Sprintf("%02d:%02d", hour.Draw(t, label+" hour"), rapid.IntRange(0, 59).Draw(t, label+" minute"))
	}
	window := weekly(name, zone, day.Draw(t, name+" from"), clock(name+" from"), day.Draw(t, name+" to"), clock(name+" to"))
	if span := window.GetWeekly(); span.GetFromDay() == span.GetToDay() && span.GetFromTime() == span.GetToTime() {
		span.ToDay = span.GetToDay()%7 + 1
	}
	return window
}

func TestEarliestStartEqualsAScanOfEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}).Draw(t, "zone")
		jump, err := time.Parse(time.RFC3339, rapid.SampledFrom(jumps[zone]).Draw(t, "jump"))
		if err != nil {
			t.Fatal(err)
		}
		at := jump.Add(time.Duration(rapid.IntRange(-2*24*60, 24*60).Draw(t, "at")) * time.Minute)
		var freezes []*policyv1.Freeze
		model := newModel(at)
		for i := range rapid.IntRange(0, 4).Draw(t, "freezes") {
			window, zone, occurrences := drawWindow(t, string(rune('a'+i)), at, model)
			freezes = append(freezes, window)
			model.mark(window, zone, occurrences)
		}
		verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
		if err != nil && !errors.Is(err, freeze.ErrFrozen) {
			t.Fatal(err)
		}
		if held := len(verdict.Reasons) > 0; held != model.frozen(before) {
			t.Fatalf("at %v: held %v, the scan says %v", at, held, model.frozen(before))
		}
		const compared = after - 8*24*60
		for i := range compared {
			if !model.frozen(before + i) {
				want := at.Add(time.Duration(i) * time.Minute)
				if err != nil || !verdict.Until.Equal(want) {
					t.Fatalf("at %v: earliest start %v (%v), the scan says %v", at, verdict.Until.UTC(), err, want)
				}
				return
			}
		}
		if verdict.Until.Before(at.Add(compared * time.Minute)) {
			t.Fatalf("at %v: earliest start %v, the scan finds none", at, verdict.Until.UTC())
		}
	})
}

func TestEarliestStartIsFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1_700_000_000, 4_000_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		var freezes []*policyv1.Freeze
		for i := range rapid.IntRange(1, 6).Draw(t, "freezes") {
			window := drawFreeze(t, string(rune('a'+i)), at.Truncate(time.Minute))
			window.Kind = rapid.SampledFrom([]policyv1.Freeze_Kind{0, policyv1.Freeze_KIND_DENY, policyv1.Freeze_KIND_ALLOW}).Draw(t, "kind")
			freezes = append(freezes, window)
		}
		verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
		if errors.Is(err, freeze.ErrFrozen) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := freeze.Evaluate(freezes, verdict.Until, freeze.Scope{})
		if err != nil || len(again.Reasons) > 0 || !again.Until.Equal(verdict.Until) {
			t.Fatalf("the earliest start %v is not free: %v, %v", verdict.Until, again.Reasons, err)
		}
		if verdict.Until.After(at) {
			if last, err := freeze.Evaluate(freezes, verdict.Until.Add(-1), freeze.Scope{}); err != nil || len(last.Reasons) == 0 {
				t.Fatalf("a moment before the earliest start %v nothing holds: %v", verdict.Until, err)
			}
		}
	})
}
