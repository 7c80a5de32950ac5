package freeze_test

import (
	"fmt"
	"time"

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
	m.active(marks, freeze, zone, occurrences)
}

// active marks the minutes at which a window is active.
func (m *model) active(marks []bool, freeze *policyv1.Freeze, zone string, occurrences [][2]int64) {
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
