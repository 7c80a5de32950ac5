package digest

import (
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
)

// ErrTime says that a text is no time of a day.
var ErrTime = errors.New(`not a time of a day such as "07:00"`)

// Calendar says when days begin, and when they are told.
type Calendar struct {
	zone *time.Location
	at   time.Duration
}

// NewCalendar returns a calendar of the zone, in which a day is told at that time of the
// next one, "07:00". The error names what is wrong by the field of the configuration.
func NewCalendar(at, zone string) (Calendar, error) {
	t, err := time.Parse("15:04", at)
	if err != nil {
		return Calendar{}, fmt.Errorf("at: %w: %q", ErrTime, at)
	}
	z, err := freeze.Zone(zone)
	if err != nil {
		return Calendar{}, fmt.Errorf("time_zone: %w", err)
	}
	return Calendar{zone: z, at: time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute}, nil
}

// Day is a date. It is kept as the moment at which a clock in UTC shows its beginning.
type Day struct{ shown time.Time }

// ParseDay reads a day as String writes it.
func ParseDay(text string) (Day, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return Day{}, fmt.Errorf("day: %w", err)
	}
	return Day{t}, nil
}

// String is the day as "2026-12-01".
func (d Day) String() string { return d.shown.Format(time.DateOnly) }

// Add returns the day so many days later.
func (d Day) Add(days int) Day { return Day{d.shown.AddDate(0, 0, days)} }

// Before reports whether the day is before another one.
func (d Day) Before(other Day) bool { return d.shown.Before(other.shown) }

// Since returns how many days after another one the day is.
func (d Day) Since(other Day) int { return int(d.shown.Sub(other.shown) / (24 * time.Hour)) }

// DayOf returns the day that a clock in the zone shows at that moment.
func (c Calendar) DayOf(at time.Time) Day {
	y, m, d := at.In(c.zone).Date()
	return Day{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// Begins returns the moment at which the day begins; where the clock jumps over midnight,
// the moment of the jump.
func (c Calendar) Begins(d Day) time.Time { return freeze.FirstShown(d.shown, c.zone) }

// Ends returns the moment at which the next day begins.
func (c Calendar) Ends(d Day) time.Time { return c.Begins(d.Add(1)) }

// Due returns when the day is told: never before it ends.
func (c Calendar) Due(d Day) time.Time {
	return freeze.FirstShown(d.Add(1).shown.Add(c.at), c.zone)
}

// Newest returns the newest day that is due at that moment.
func (c Calendar) Newest(at time.Time) Day {
	d := c.DayOf(at)
	for c.Due(d).After(at) {
		d = d.Add(-1)
	}
	return d
}

// show writes a moment for people: in UTC, and as a clock in the zone shows it.
func (c Calendar) show(at time.Time) string {
	return fmt.Sprintf("%s UTC, %s (%s)", at.UTC().Format(time.DateTime), at.In(c.zone).Format("2006-01-02 15:04:05 MST"), c.zone)
}
