package freeze_test

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

var zones = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}

// drawWindow draws a window of any kind, and says when its clock shows that it is active.
func drawWindow(t *rapid.T, name string, at time.Time, m *model) (*policyv1.Freeze, string, [][2]int64) {
	kind := rapid.SampledFrom([]policyv1.Freeze_Kind{0, policyv1.Freeze_KIND_DENY, policyv1.Freeze_KIND_ALLOW}).Draw(t, name+" allows")
	zone := rapid.SampledFrom(zones).Draw(t, name+" zone")
	f := &policyv1.Freeze{Name: name, SetBy: "mia", Reason: "because", Kind: kind}
	var occurrences [][2]int64
	switch rapid.SampledFrom([]string{"once", "open", "weekly", "recurring", "calendar"}).Draw(t, name+" when") {
	case "once":
		start := at.Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, name+" start")) * time.Minute)
		f.When = once(name, start, start.Add(time.Duration(rapid.IntRange(1, 9000).Draw(t, name+" length"))*time.Minute)).GetWhen()
	case "open":
		edge := timestamppb.New(at.Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, name+" edge")) * time.Minute))
		f.When = &policyv1.Freeze_Once{Once: &policyv1.Span{Start: edge}}
		if rapid.Bool().Draw(t, name+" since ever") {
			f.When = &policyv1.Freeze_Once{Once: &policyv1.Span{End: edge}}
		}
	case "weekly":
		drawn := drawWeekly(t, name)
		f.When, zone = drawn.GetWhen(), drawn.GetWeekly().GetTimeZone()
		occurrences = m.weeks(drawn)
	case "recurring":
		r := drawRule(t, name, at)
		f.When = &policyv1.Freeze_Recurring{Recurring: &policyv1.Recurring{
			Start: r.start.Format("2006-01-02T15:04"), Rule: r.text, TimeZone: zone, Except: r.except("2006-01-02T15:04"),
			Length: durationpb.New(time.Duration(r.minutes) * time.Minute),
		}}
		occurrences = r.occurrences(m)
	case "calendar":
		var text string
		text, occurrences = drawCalendar(t, name, zone, at, m)
		f.When = &policyv1.Freeze_Calendar{Calendar: &policyv1.Calendar{Icalendar: text, TimeZone: zone}}
	}
	return f, zone, occurrences
}

// rule is a rule of RFC 5545 beside what it says of a day in words of its own.
type rule struct {
	text    string
	start   time.Time
	minutes int64
	is      func(day time.Time) bool
	without []time.Time
}

func drawRule(t *rapid.T, name string, at time.Time) rule {
	// Sunday is when clocks jump, and hours around the jump.
	hour := rapid.SampledFrom([]int{0, 1, 2, 2, 3, 9, 22}).Draw(t, name+" hour")
	r := rule{minutes: int64(rapid.SampledFrom([]int{1, 20, 45, 60, 90, 600, 1440, 2 * 1440}).Draw(t, name+" minutes"))}
	back := rapid.IntRange(0, 40).Draw(t, name+" back")
	first := time.Date(at.Year(), at.Month(), at.Day()-back, hour, rapid.IntRange(0, 59).Draw(t, name+" minute"), 0, 0, time.UTC)
	every := rapid.IntRange(1, 4).Draw(t, name+" every")
	days := func(day time.Time) int {
		return int(day.Truncate(24*time.Hour).Sub(first.Truncate(24*time.Hour)) / (24 * time.Hour))
	}
	switch rapid.SampledFrom([]string{"daily", "weekly", "monthly", "nth", "yearly"}).Draw(t, name+" rule") {
	case "daily":
		r.text = fmt.Sprintf("FREQ=DAILY;INTERVAL=%d", every)
		r.is = func(day time.Time) bool { return days(day)%every == 0 }
	case "weekly":
		weekday := []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}
		r.text = fmt.Sprintf("FREQ=WEEKLY;BYDAY=%s,SU", weekday[first.Weekday()])
		r.is = func(day time.Time) bool { return day.Weekday() == first.Weekday() || day.Weekday() == time.Sunday }
	case "monthly":
		r.text = fmt.Sprintf("FREQ=MONTHLY;BYMONTHDAY=%d,-1", first.Day())
		r.is = func(day time.Time) bool { return day.Day() == first.Day() || day.AddDate(0, 0, 1).Day() == 1 }
	case "nth":
		weekday := []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}
		r.text = fmt.Sprintf("FREQ=MONTHLY;BYDAY=%d%s", (first.Day()-1)/7+1, weekday[first.Weekday()])
		r.is = func(day time.Time) bool {
			return day.Weekday() == first.Weekday() && (day.Day()-1)/7 == (first.Day()-1)/7
		}
	case "yearly":
		r.text = fmt.Sprintf("FREQ=YEARLY;BYMONTH=%d;BYMONTHDAY=%d", first.Month(), first.Day())
		r.is = func(day time.Time) bool { return day.Month() == first.Month() && day.Day() == first.Day() }
	}
	r.start = first
	if rapid.Bool().Draw(t, name+" ends") {
		until := first.AddDate(0, 0, rapid.IntRange(0, 60).Draw(t, name+" until"))
		r.text += ";UNTIL=" + until.Format("20060102")
		is := r.is
		r.is = func(day time.Time) bool { return is(day) && !day.Truncate(24*time.Hour).After(until) }
	}
	if rapid.Bool().Draw(t, name+" skips") {
		r.without = append(r.without, first.AddDate(0, 0, rapid.IntRange(0, 30).Draw(t, name+" without")))
	}
	return r
}

func (r rule) except(layout string) (out []string) {
	for _, at := range r.without {
		out = append(out, at.Format(layout))
	}
	return out
}

func (r rule) occurrences(m *model) (out [][2]int64) {
	end := m.origin.Add((before + after + 3*1440) * time.Minute)
	for at := r.start; at.Before(end); at = at.AddDate(0, 0, 1) {
		left := false
		for _, out := range r.without {
			left = left || out.Equal(at)
		}
		if r.is(at) && !left {
			out = append(out, [2]int64{at.Unix() / 60, at.Unix()/60 + r.minutes})
		}
	}
	return out
}

// drawCalendar draws events of a zone: such as come back, whole days, single ones, some
// of which last no time.
func drawCalendar(t *rapid.T, name, zone string, at time.Time, m *model) (string, [][2]int64) {
	const local = "20060102T150405"
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//shipwarden//test"}
	var occurrences [][2]int64
	for i := range rapid.IntRange(1, 3).Draw(t, name+" events") {
		label := fmt.Sprintf("%s event %d", name, i)
		r := drawRule(t, label, at)
		lines = append(lines, "BEGIN:VEVENT", fmt.Sprintf("UID:%d", i))
		switch rapid.SampledFrom([]string{"comes back", "day", "single", "no time"}).Draw(t, label) {
		case "comes back":
			lines = append(lines, "DTSTART;TZID="+zone+":"+r.start.Format(local), "RRULE:"+r.text,
				"DTEND;TZID="+zone+":"+r.start.Add(time.Duration(r.minutes)*time.Minute).Format(local))
			for _, text := range r.except(local) {
				lines = append(lines, "EXDATE;TZID="+zone+":"+text)
			}
			occurrences = append(occurrences, r.occurrences(m)...)
		case "day":
			day := r.start.Truncate(24 * time.Hour)
			lines = append(lines, "DTSTART;VALUE=DATE:"+day.Format("20060102"))
			occurrences = append(occurrences, [2]int64{day.Unix() / 60, day.Unix()/60 + 1440})
		case "single":
			lines = append(lines, "DTSTART:"+r.start.Format(local), fmt.Sprintf("DURATION:PT%dM", r.minutes))
			occurrences = append(occurrences, [2]int64{r.start.Unix() / 60, r.start.Unix()/60 + r.minutes})
		case "no time":
			lines = append(lines, "DTSTART:"+at.UTC().Format(local+"Z"))
		}
		lines = append(lines, "END:VEVENT")
	}
	return strings.Join(append(lines, "END:VCALENDAR", ""), "\r\n"), occurrences
}
