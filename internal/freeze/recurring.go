package freeze

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Bounds on what comes back. A rule is the text of somebody else where it comes out of a
// calendar, and must not keep anybody busy.
const (
	maxInterval = 1000
	maxLength   = 400 * day
	firstYear   = 1900
	lastYear    = 2200
)

// cycle is after how many years the Gregorian calendar comes back with the same days of
// the week. The library looks for the next occurrence up to the year 9999, so rules are
// evaluated late in its time: one that never comes to pass is given up after a few
// hundred years, and not after eight thousand.
const (
	cycle = 400
	late  = 19 * cycle
)

// repeated is something that comes back, by a clock that is shown in a zone.
type repeated struct {
	start  wall
	length time.Duration
	zone   *time.Location
	// rule is nil where it happens once.
	rule *rrule.RRule
	// more and except are beginnings that are added and left out.
	more, except []wall
}

// recurring are the occurrences of a span that comes back by a rule.
func recurring(when *policyv1.Recurring, from, to time.Time) ([]span, error) {
	r, err := newRecurring(when)
	if err != nil {
		return nil, err
	}
	return r.spans(from, to)
}

func newRecurring(when *policyv1.Recurring) (r repeated, err error) {
	if r.zone, err = Zone(when.GetTimeZone()); err != nil {
		return r, err
	}
	if r.start, err = time.Parse("2006-01-02T15:04", when.GetStart()); err != nil {
		return r, fmt.Errorf("%w: start %q is no time such as 2026-01-05T18:00", ErrWindow, when.GetStart())
	}
	if r.length = when.GetLength().AsDuration(); r.length <= 0 || r.length > maxLength {
		return r, fmt.Errorf("%w: it must last longer than nothing, and 400 days at the most", ErrWindow)
	}
	for _, text := range when.GetExcept() {
		except, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			return r, fmt.Errorf("%w: except %q is no time such as 2026-01-05T18:00", ErrWindow, text)
		}
		r.except = append(r.except, except)
	}
	r.rule, err = newRule(when.GetRule(), r.start, r.zone)
	return r, err
}

// newRule reads a rule of RFC 5545 that begins at a time that the clock shows. The time
// of day is that of the beginning, so that there is one occurrence a day at the most, and
// the beginning must be the first of them: what else the rule means is undefined.
func newRule(text string, start wall, zone *time.Location) (*rrule.RRule, error) {
	fail := func(format string, args ...any) (*rrule.RRule, error) {
		return nil, fmt.Errorf("%w: rule %.80q: %s", ErrWindow, text, fmt.Sprintf(format, args...))
	}
	if start.Year() < firstYear || start.Year() > lastYear {
		return fail("it begins in the year %d, and calendars here go from %d to %d", start.Year(), firstYear, lastYear)
	}
	until, rest, err := cutUntil(strings.ToUpper(text), zone)
	if err != nil {
		return fail("%v", err)
	}
	option, err := rrule.StrToROption(rest)
	if err != nil {
		return fail("%v", err)
	}
	switch {
	case !strings.Contains(rest, "FREQ="):
		return fail("FREQ is missing")
	case !option.Dtstart.IsZero():
		return fail("DTSTART does not belong into it")
	case option.Freq > rrule.DAILY:
		return fail("%v is too often: DAILY at the most", option.Freq)
	case len(option.Byhour)+len(option.Byminute)+len(option.Bysecond) > 0:
		return fail("BYHOUR, BYMINUTE and BYSECOND: the time of day is that of the start")
	case len(option.Byeaster) > 0:
		return fail("BYEASTER is not of RFC 5545")
	case option.Interval < 0 || option.Interval > maxInterval:
		return fail("INTERVAL must lie between 1 and %d", maxInterval)
	case option.Count < 0:
		return fail("COUNT must not be negative")
	case option.Count > 0 && !until.IsZero():
		return fail("COUNT and UNTIL exclude each other")
	case !until.IsZero() && (until.Year() < firstYear || until.Year() > lastYear+100):
		return fail("UNTIL is in the year %d", until.Year())
	}
	option.Dtstart = start.AddDate(late, 0, 0)
	if !until.IsZero() {
		option.Until = until.AddDate(late, 0, 0)
	}
	rule, err := rrule.NewRRule(*option)
	if err != nil {
		return fail("%v", err)
	}
	first := wall{}
	if err := each(rule, func(at wall) bool { first = at; return false }); err != nil {
		return fail("%v", err)
	}
	if !first.Equal(start) {
		return fail("the start %s is not its first occurrence", start.Format("2006-01-02T15:04"))
	}
	return rule, nil
}

// each passes the occurrences of a rule on, in order, as long as they are wanted. Of some
// rules that mean nothing, such as the tenth Saturday of a month, the library panics.
func each(rule *rrule.RRule, wanted func(wall) bool) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it cannot be evaluated")
		}
	}()
	next := rule.Iterator()
	for at, ok := next(); ok; at, ok = next() {
		if !wanted(at.AddDate(-late, 0, 0)) {
			return nil
		}
	}
	return nil
}

// cutUntil takes UNTIL out of a rule, as a time that the clock shows: it is given in UTC
// where the start is given with a zone, and as a day it means all of that day.
func cutUntil(text string, zone *time.Location) (until wall, rest string, err error) {
	parts := strings.Split(text, ";")
	var kept []string
	for _, part := range parts {
		value, ok := strings.CutPrefix(part, "UNTIL=")
		if !ok {
			kept = append(kept, part)
			continue
		}
		if !until.IsZero() {
			return until, "", fmt.Errorf("UNTIL is there twice")
		}
		switch len(value) {
		case len(rrule.DateFormat):
			until, err = time.Parse(rrule.DateFormat, value)
			until = until.Add(day - time.Second)
		case len(rrule.LocalDateTimeFormat):
			until, err = time.Parse(rrule.LocalDateTimeFormat, value)
		default:
			until, err = time.Parse(rrule.DateTimeFormat, value)
			until = wallAt(until, zone)
		}
		if err != nil {
			return until, "", fmt.Errorf("UNTIL %q is no time", value)
		}
	}
	return until, strings.Join(kept, ";"), nil
}

// spans are the occurrences that may be active between two moments.
func (r repeated) spans(from, to time.Time) ([]span, error) {
	first, last := wallAt(from, r.zone).Add(-r.length-reach), wallAt(to, r.zone).Add(reach)
	var begins []wall
	add := func(at wall) bool {
		if !at.Before(first) && !at.After(last) && !slices.ContainsFunc(r.except, at.Equal) {
			begins = append(begins, at)
		}
		return !at.After(last)
	}
	for _, at := range r.more {
		add(at)
	}
	if r.rule == nil {
		add(r.start)
	} else if err := each(r.rule, add); err != nil {
		return nil, fmt.Errorf("%w: rule: %w", ErrWindow, err)
	}
	out := make([]span, 0, len(begins))
	for _, at := range begins {
		out = append(out, shown(at, r.length, r.zone))
	}
	return out, nil
}
