package freeze

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-ical"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Bounds on a calendar.
const (
	maxEvents = 1000
	// MaxRules is how many events of one document may come back by a rule.
	MaxRules = 128
	// maxTimes is how many beginnings one event may add or leave out.
	maxTimes = 1000
	// maxLine is the longest line, in bytes, after those that continue it were added.
	maxLine = 8 << 10
)

// canceled is the status of an event that does not take place.
const canceled = "CANCELLED" //nolint:misspell // RFC 5545 spells it so.

// calendar are the occurrences of all events of a calendar.
func calendar(when *policyv1.Calendar, from, to time.Time) ([]span, error) {
	events, err := readCalendar(when)
	if err != nil {
		return nil, err
	}
	var out []span
	for _, e := range events {
		spans, err := e.spans(from, to)
		if err != nil {
			return nil, err
		}
		out = append(out, spans...)
	}
	return out, nil
}

// event is one event of a calendar.
type event struct {
	repeated
	uid string
	// instead is which occurrence of the event with the same id it stands for.
	instead wall
	// canceled takes away what it stands for and puts nothing there.
	canceled bool
}

// readCalendar reads all events, those that come back and those that stand for one
// occurrence of another. What is not understood is refused: half a calendar would freeze
// half of what was meant. Only times are looked at; whether somebody is busy
// meanwhile (TRANSP) says nothing about releases.
func readCalendar(when *policyv1.Calendar) ([]event, error) {
	zone, err := Zone(when.GetTimeZone())
	if err != nil {
		return nil, err
	}
	parsed, err := decode(when.GetIcalendar())
	if err != nil {
		return nil, fmt.Errorf("%w: calendar: %w", ErrWindow, err)
	}
	var all []event
	rules := 0
	for _, child := range parsed.Children {
		if child.Name != ical.CompEvent {
			continue
		}
		e, err := newEvent(child.Props, zone)
		if err != nil {
			return nil, fmt.Errorf("%w: calendar: event %d (%.64q): %w", ErrWindow, len(all)+1, e.uid, err)
		}
		if e.rule != nil {
			rules++
		}
		if all = append(all, e); len(all) > maxEvents || rules > MaxRules {
			return nil, fmt.Errorf("%w: calendar: more than %d events, or %d that come back", ErrWindow, maxEvents, MaxRules)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: calendar: it holds no event", ErrWindow)
	}
	return settled(all), nil
}

// settled lets events stand for the occurrences of others that they name.
func settled(all []event) []event {
	for _, e := range all {
		if e.instead.IsZero() {
			continue
		}
		for i := range all {
			if all[i].uid == e.uid && all[i].instead.IsZero() {
				all[i].except = append(all[i].except, wallAt(firstShown(e.instead, e.zone), all[i].zone))
			}
		}
	}
	return slices.DeleteFunc(all, func(e event) bool { return e.canceled })
}

// decode reads the text of a calendar. The library panics where a line ends in a
// parameter, and takes long over long ones.
func decode(text string) (parsed *ical.Calendar, err error) {
	defer func() {
		if recover() != nil {
			parsed, err = nil, errors.New("a line ends too early")
		}
	}()
	length := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			length = 0
		}
		if length += len(line); length > maxLine {
			return nil, fmt.Errorf("a line is longer than %d bytes: leave out what says nothing about time, or let shipwarden calendar do it", maxLine)
		}
	}
	decoder := ical.NewDecoder(strings.NewReader(text))
	if parsed, err = decoder.Decode(); err != nil {
		return nil, err
	}
	if _, err := decoder.Decode(); err == nil {
		return nil, errors.New("there is a second calendar in it")
	}
	return parsed, nil
}

// newEvent reads one event.
func newEvent(props ical.Props, floating *time.Location) (e event, err error) {
	e.uid = value(props, ical.PropUID)
	e.canceled = strings.EqualFold(value(props, ical.PropStatus), canceled)
	start, err := single(props, ical.PropDateTimeStart, floating)
	if err != nil {
		return e, err
	}
	e.start, e.zone = start.at, start.zone
	if e.start.Year() < firstYear || e.start.Year() > lastYear {
		return e, fmt.Errorf("DTSTART is in the year %d", e.start.Year())
	}
	if e.length, err = length(props, start, floating); err != nil {
		return e, err
	}
	if len(props[ical.PropRecurrenceID]) > 0 {
		if props.Get(ical.PropRecurrenceID).Params.Get("RANGE") != "" {
			return e, errors.New("RECURRENCE-ID with a RANGE is not supported")
		}
		instead, err := single(props, ical.PropRecurrenceID, floating)
		if err != nil {
			return e, err
		}
		e.instead = wallAt(firstShown(instead.at, instead.zone), e.zone)
	}
	if e.except, err = times(props, ical.PropExceptionDates, e.zone, floating); err != nil {
		return e, err
	}
	if e.more, err = times(props, ical.PropRecurrenceDates, e.zone, floating); err != nil {
		return e, err
	}
	switch rules := props[ical.PropRecurrenceRule]; {
	case len(props["EXRULE"]) > 0 || len(rules) > 1:
		return e, errors.New("EXRULE, and more than one RRULE, are not supported")
	case len(rules) == 1:
		if e.length > maxLength {
			return e, errors.New("it comes back, and lasts longer than 400 days")
		}
		if e.rule, err = newRule(rules[0].Value, e.start, e.zone); err != nil {
			return e, err
		}
	}
	return e, nil
}

// length is how long an event lasts, by the clock. One of a day lasts that day, and one
// without an end lasts no time and holds nothing.
func length(props ical.Props, start moment, floating *time.Location) (time.Duration, error) {
	ends, spans := props[ical.PropDateTimeEnd], props[ical.PropDuration]
	switch {
	case len(ends) > 0 && len(spans) > 0:
		return 0, errors.New("DTEND and DURATION exclude each other")
	case len(ends) > 0:
		end, err := single(props, ical.PropDateTimeEnd, floating)
		if err != nil {
			return 0, err
		}
		at := end.at
		if end.zone.String() != start.zone.String() {
			at = wallAt(firstShown(end.at, end.zone), start.zone)
		}
		if at.Before(start.at) {
			return 0, errors.New("DTEND is before DTSTART")
		}
		return at.Sub(start.at), nil
	case len(spans) > 1:
		return 0, errors.New("DURATION is there twice")
	case len(spans) == 1:
		length, err := spans[0].Duration()
		if err != nil || length < 0 || length > 100*365*day {
			return 0, fmt.Errorf("DURATION %.40q is none", spans[0].Value)
		}
		return length, nil
	case start.wholeDay:
		return day, nil
	}
	return 0, nil
}
