package freeze

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// Moments that no calendar reaches: a span without a start or an end is one between
// them.
var (
	sinceEver = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	forGood   = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// always is when a window begins that never was closed.
var always = timestamppb.New(sinceEver)

// span is from a moment up to but not including another one.
type span struct{ from, until time.Time }

// window is a freeze that was understood, as the spans in which it is active: in order,
// none of them touching another, all that meet the time that was looked at.
type window struct {
	freeze *policyv1.Freeze
	spans  []span
}

// newWindow finds the spans of a freeze that are active at some moment between two.
func newWindow(freeze *policyv1.Freeze, from, to time.Time) (window, error) {
	w := window{freeze: freeze}
	var err error
	switch when := freeze.GetWhen().(type) {
	case *policyv1.Freeze_Once:
		w.spans, err = once(when.Once)
	case *policyv1.Freeze_Weekly:
		w.spans, err = weekly(when.Weekly, from, to)
	case *policyv1.Freeze_Recurring:
		w.spans, err = recurring(when.Recurring, from, to)
	case *policyv1.Freeze_Calendar:
		w.spans, err = calendar(when.Calendar, from, to)
	default:
		err = fmt.Errorf("%w: it does not say when", ErrWindow)
	}
	w.spans = joined(w.spans, from, to)
	return w, err
}

// Understand says whether a freeze can be evaluated, and with an error that wraps ErrWindow
// or ErrZone why it cannot. Whoever brings a document into force asks before.
func Understand(freeze *policyv1.Freeze) error {
	_, err := newWindow(freeze, time.Unix(0, 0), time.Unix(0, 0))
	return err
}

// Rules is how many rules a freeze brings to be evaluated, as far as it is understood.
func Rules(freeze *policyv1.Freeze) int {
	if freeze.GetRecurring() != nil {
		return 1
	}
	if freeze.GetCalendar() == nil {
		return 0
	}
	events, _ := readCalendar(freeze.GetCalendar())
	rules := 0
	for _, e := range events {
		if e.rule != nil {
			rules++
		}
	}
	return rules
}

// allows says whether the freeze says when a start is possible, and not when it is not.
func (w window) allows() bool { return w.freeze.GetKind() == policyv1.Freeze_KIND_ALLOW }

// activeAt returns the span in which the window is active at a moment.
func (w window) activeAt(at time.Time) (span, bool) {
	for _, s := range w.spans {
		if !at.Before(s.from) && at.Before(s.until) {
			return s, true
		}
	}
	return span{}, false
}

// opensAfter returns when the window becomes active next; false where it does not, as
// far as was looked.
func (w window) opensAfter(at time.Time) (time.Time, bool) {
	for _, s := range w.spans {
		if s.from.After(at) {
			return s.from, true
		}
	}
	return time.Time{}, false
}

// joined puts spans in order and makes one of those that overlap or touch. Those that
// hold nothing, or lie outside of the time that is looked at, are left out.
func joined(spans []span, from, to time.Time) []span {
	spans = slices.DeleteFunc(spans, func(s span) bool {
		return !s.from.Before(s.until) || !s.until.After(from) || s.from.After(to)
	})
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && !s.from.After(out[n-1].until) {
			if s.until.After(out[n-1].until) {
				out[n-1].until = s.until
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// once is one span, whose start or end may be open.
func once(when *policyv1.Span) ([]span, error) {
	s := span{sinceEver, forGood}
	if when.GetStart() != nil {
		s.from = when.GetStart().AsTime()
	}
	if when.GetEnd() != nil {
		s.until = when.GetEnd().AsTime()
	}
	switch {
	case when.GetStart() == nil && when.GetEnd() == nil:
		return nil, fmt.Errorf("%w: start or end must be given", ErrWindow)
	case when.GetStart() != nil && when.GetStart().CheckValid() != nil, when.GetEnd() != nil && when.GetEnd().CheckValid() != nil:
		return nil, fmt.Errorf("%w: start or end is no time", ErrWindow)
	case !s.from.Before(s.until):
		return nil, fmt.Errorf("%w: it ends before it starts", ErrWindow)
	}
	return []span{s}, nil
}

// weekly are the occurrences of a span that comes back every week.
func weekly(when *policyv1.Weekly, from, to time.Time) ([]span, error) {
	zone, err := Zone(when.GetTimeZone())
	if err != nil {
		return nil, err
	}
	begins, err := sinceMonday(when.GetFromDay(), when.GetFromTime())
	if err != nil {
		return nil, err
	}
	ends, err := sinceMonday(when.GetToDay(), when.GetToTime())
	if err != nil {
		return nil, err
	}
	length := ends - begins
	if length == 0 {
		return nil, fmt.Errorf("%w: it ends when it starts", ErrWindow)
	}
	if length < 0 {
		length += week // over the end of the week
	}
	var out []span
	// An occurrence that is active at the beginning began on the clock at most a week
	// before, and a clock that jumps may have put its start into another week.
	last := wallAt(to, zone).Add(week)
	for monday := mondayOf(wallAt(from, zone)).Add(-2 * week); monday.Before(last); monday = monday.Add(week) {
		out = append(out, shown(monday.Add(begins), length, zone))
	}
	return out, nil
}

// shown is the span between two times that a clock in the zone shows.
func shown(from wall, length time.Duration, zone *time.Location) span {
	return span{firstShown(from, zone), lastBefore(from.Add(length), zone)}
}

// sinceMonday returns how long after Monday 00:00 a clock shows a day and "HH:MM".
func sinceMonday(weekday policyv1.Weekly_Day, clock string) (time.Duration, error) {
	shown, err := time.Parse("15:04", clock)
	if err != nil || weekday < policyv1.Weekly_DAY_MONDAY || weekday > policyv1.Weekly_DAY_SUNDAY {
		return 0, fmt.Errorf("%w: %s %q is no time of the week", ErrWindow, weekday, clock)
	}
	days := time.Duration(weekday-policyv1.Weekly_DAY_MONDAY) * day
	return days + time.Duration(shown.Hour())*time.Hour + time.Duration(shown.Minute())*time.Minute, nil
}

// mondayOf returns the Monday 00:00 before a wall time.
func mondayOf(shown wall) wall {
	midnight := time.Date(shown.Year(), shown.Month(), shown.Day(), 0, 0, 0, 0, time.UTC)
	return midnight.AddDate(0, 0, -(int(midnight.Weekday())+6)%7)
}
