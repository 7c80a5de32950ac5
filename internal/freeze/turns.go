package freeze

import (
	"fmt"
	"time"
)

// Turns is something that is handed over again and again by a clock that is shown in a zone,
// each time after the same length on that clock: what is handed over at 09:00 is handed over
// at 09:00 after a clock was changed as well. A hand-over is the first moment at which the
// clock shows its time or a later one, as the start of a freeze is: at the jump, where the
// clock jumps over it, and the first time, where it shows it twice.
type Turns struct {
	start  wall
	length time.Duration
	zone   *time.Location
}

// NewTurns reads turns of which the first begins when the clock shows that time, for
// instance 2026-01-05T09:00. Errors wrap ErrZone or ErrWindow.
func NewTurns(start, zone string, length time.Duration) (t Turns, err error) {
	if t.zone, err = Zone(zone); err != nil {
		return t, err
	}
	if t.start, err = time.Parse("2006-01-02T15:04", start); err != nil || t.start.Year() < firstYear || t.start.Year() > lastYear {
		return t, fmt.Errorf("%w: %.40q is no time such as 2026-01-05T09:00", ErrWindow, start)
	}
	if t.length = length; length < time.Hour || length > maxLength || length%time.Minute != 0 {
		return t, fmt.Errorf("%w: a turn lasts whole minutes, an hour at the least and 400 days at the most", ErrWindow)
	}
	return t, nil
}

// Begin is the moment at which the turn with that number begins, from 0; the one before it
// ends then.
func (t Turns) Begin(number int) time.Time {
	return firstShown(t.start.Add(time.Duration(number)*t.length), t.zone)
}

// At returns which turn it is at a moment, and from when up to but not including when; there
// is none before the first, nor in years that no calendar here reaches.
func (t Turns) At(at time.Time) (number int, from, until time.Time, ok bool) {
	if at.Year() > lastYear || at.Before(t.Begin(0)) {
		return 0, time.Time{}, time.Time{}, false
	}
	// What the clock shows names the turn, which has begun; but where it has fallen back, a later
	// one has.
	number = max(int(wallAt(at, t.zone).Sub(t.start)/t.length), 0)
	for !t.Begin(number + 1).After(at) {
		number++
	}
	return number, t.Begin(number), t.Begin(number + 1), true
}
