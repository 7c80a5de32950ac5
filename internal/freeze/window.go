package freeze

import (
	"fmt"
	"time"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

const week = 7 * 24 * time.Hour

// window is a freeze that was understood: either once, from start to end, or
// weekly, by the clock of a zone.
type window struct {
	freeze     *policyv1.Freeze
	start, end time.Time      // once
	zone       *time.Location // weekly
	from       time.Duration  // from Monday 00:00 on the clock
	length     time.Duration  // on the clock, more than nothing and less than a week
}

func newWindow(freeze *policyv1.Freeze) (window, error) {
	w := window{freeze: freeze}
	switch when := freeze.GetWhen().(type) {
	case *policyv1.Freeze_Once:
		if when.Once.GetStart().CheckValid() != nil || when.Once.GetEnd().CheckValid() != nil {
			return w, fmt.Errorf("%w: start and end must be given", ErrWindow)
		}
		w.start, w.end = when.Once.GetStart().AsTime(), when.Once.GetEnd().AsTime()
		if !w.start.Before(w.end) {
			return w, fmt.Errorf("%w: it ends before it starts", ErrWindow)
		}
		return w, nil
	case *policyv1.Freeze_Weekly:
		return w.weekly(when.Weekly)
	default:
		return w, fmt.Errorf("%w: neither once nor weekly", ErrWindow)
	}
}

func (w window) weekly(weekly *policyv1.Weekly) (window, error) {
	var err error
	if w.zone, err = Zone(weekly.GetTimeZone()); err != nil {
		return w, err
	}
	if w.from, err = sinceMonday(weekly.GetFromDay(), weekly.GetFromTime()); err != nil {
		return w, err
	}
	to, err := sinceMonday(weekly.GetToDay(), weekly.GetToTime())
	if err != nil {
		return w, err
	}
	w.length = to - w.from
	if w.length == 0 {
		return w, fmt.Errorf("%w: it ends when it starts", ErrWindow)
	}
	if w.length < 0 {
		w.length += week // over the end of the week
	}
	return w, nil
}

// sinceMonday returns how long after Monday 00:00 a clock shows a day and "HH:MM".
func sinceMonday(day policyv1.Weekly_Day, clock string) (time.Duration, error) {
	shown, err := time.Parse("15:04", clock)
	if err != nil || day < policyv1.Weekly_DAY_MONDAY || day > policyv1.Weekly_DAY_SUNDAY {
		return 0, fmt.Errorf("%w: %s %q is no time of the week", ErrWindow, day, clock)
	}
	days := time.Duration(day-policyv1.Weekly_DAY_MONDAY) * 24 * time.Hour
	return days + time.Duration(shown.Hour())*time.Hour + time.Duration(shown.Minute())*time.Minute, nil
}

// activeAt says whether the freeze holds at a moment, since when and until when.
func (w window) activeAt(at time.Time) (from, until time.Time, active bool) {
	if w.zone == nil {
		return w.start, w.end, !at.Before(w.start) && at.Before(w.end)
	}
	// An occurrence that holds now began on the clock at most a week ago, and a
	// clock that jumps may have put its start into the next week or the one before.
	monday := mondayOf(wallAt(at, w.zone))
	for n := 1; n >= -2; n-- {
		from := monday.Add(time.Duration(n)*week + w.from)
		start := firstShown(from, w.zone)
		end := lastBefore(from.Add(w.length), w.zone)
		if !at.Before(start) && at.Before(end) {
			return start, end, true
		}
	}
	return time.Time{}, time.Time{}, false
}

// mondayOf returns the Monday 00:00 before a wall time.
func mondayOf(shown wall) wall {
	midnight := time.Date(shown.Year(), shown.Month(), shown.Day(), 0, 0, 0, 0, time.UTC)
	return midnight.AddDate(0, 0, -(int(midnight.Weekday())+6)%7)
}
