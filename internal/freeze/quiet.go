package freeze

import (
	"errors"
	"fmt"
	"time"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// ErrAlwaysQuiet means that quiet hours leave no moment in which somebody could be told.
var ErrAlwaysQuiet = errors.New("quiet hours never end")

var everyDay = []policyv1.Weekly_Day{
	policyv1.Weekly_DAY_MONDAY, policyv1.Weekly_DAY_TUESDAY, policyv1.Weekly_DAY_WEDNESDAY, policyv1.Weekly_DAY_THURSDAY,
	policyv1.Weekly_DAY_FRIDAY, policyv1.Weekly_DAY_SATURDAY, policyv1.Weekly_DAY_SUNDAY,
}

// QuietUntil returns when somebody with such hours may be told at the earliest: the moment
// itself outside of them (PD-4.2). Hours that touch or overlap are one, and where a clock is
// changed they are what a weekly freeze is. An error wraps ErrZone or ErrWindow where they
// cannot be understood, and ErrAlwaysQuiet where they have no end; who gets one tells at
// once, because a notice that comes at a wrong time is better than one that never does.
func QuietUntil(hours []*policyv1.QuietHours, at time.Time) (time.Time, error) {
	if len(hours) == 0 {
		return at, nil
	}
	var windows []*policyv1.Freeze
	for _, h := range hours {
		if _, err := Zone(h.GetTimeZone()); err != nil {
			return at, err
		}
		days := h.GetDays()
		if len(days) == 0 {
			days = everyDay
		}
		for _, day := range days {
			until := day
			if h.GetTo() <= h.GetFrom() { // "HH:MM" is in the order of time
				until = day%7 + 1
			}
			windows = append(windows, &policyv1.Freeze{When: &policyv1.Freeze_Weekly{Weekly: &policyv1.Weekly{
				FromDay: day, FromTime: h.GetFrom(), ToDay: until, ToTime: h.GetTo(), TimeZone: h.GetTimeZone(),
			}}})
		}
	}
	// They come back every week, so that whoever waits for two of them waits for ever. No
	// clock is changed twice in that time.
	verdict, err := evaluate(windows, at, Scope{}, 2*week)
	if errors.Is(err, ErrFrozen) {
		return at, fmt.Errorf("%w: not within two weeks from %s", ErrAlwaysQuiet, at.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return at, err
	}
	return verdict.Until, nil
}
