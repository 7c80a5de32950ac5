package freeze

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-ical"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// kept are the properties of an event that say when it is, and which it is.
var kept = []string{
	ical.PropUID, ical.PropSummary, ical.PropStatus, ical.PropDateTimeStart, ical.PropDateTimeEnd, ical.PropDuration,
	ical.PropRecurrenceRule, ical.PropRecurrenceDates, ical.PropExceptionDates, ical.PropRecurrenceID, "EXRULE",
}

// Reduce takes out of a calendar what says nothing about time: people's addresses,
// descriptions, alarms. The rest means the same. A calendar that is not understood is
// refused, with an error that wraps ErrWindow or ErrZone.
func Reduce(c *policyv1.Calendar) (*policyv1.Calendar, error) {
	parsed, err := decode(short(c.GetIcalendar()))
	if err != nil {
		return nil, fmt.Errorf("%w: calendar: %w", ErrWindow, err)
	}
	var out strings.Builder
	out.WriteString("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//shipwarden//calendar//EN\n")
	for _, child := range parsed.Children {
		if child.Name != ical.CompEvent {
			continue
		}
		out.WriteString("BEGIN:VEVENT\n")
		for _, name := range kept {
			for _, p := range child.Props[name] {
				out.WriteString(line(p))
			}
		}
		out.WriteString("END:VEVENT\n")
	}
	out.WriteString("END:VCALENDAR\n")
	reduced := &policyv1.Calendar{Icalendar: out.String(), TimeZone: c.GetTimeZone()}
	if _, err := readCalendar(reduced); err != nil {
		return nil, err
	}
	return reduced, nil
}

// line writes a property as it was read, with those parameters that say how its time is
// meant.
func line(p ical.Prop) string {
	var b strings.Builder
	b.WriteString(p.Name)
	for _, name := range []string{ical.ParamValue, ical.ParamTimezoneID, "RANGE"} {
		for _, v := range p.Params[name] {
			b.WriteString(";" + name + "=")
			if strings.ContainsAny(v, ";:,") {
				v = `"` + v + `"`
			}
			b.WriteString(v)
		}
	}
	value := p.Value
	if p.Name == ical.PropSummary {
		value = value[:min(len(value), 200)]
	}
	return b.String() + ":" + strings.Map(printing, value) + "\n"
}

// printing drops what no text of a document can hold.
func printing(r rune) rune {
	if unicode.IsControl(r) || r == utf8.RuneError {
		return -1
	}
	return r
}

// short leaves out lines that are too long for the library: a description, a picture.
// Where one was of what is kept, the event is not understood without it.
func short(text string) string {
	var lines []string
	for l := range strings.Lines(text) {
		if n := len(lines); n > 0 && (strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t")) {
			lines[n-1] += l
			continue
		}
		lines = append(lines, l)
	}
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(l), ":")
		name, _, _ = strings.Cut(name, ";")
		return len(l) > maxLine && !slices.Contains(kept, name)
	}), "")
}
