package freeze

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // containers without a zone database freeze at the same times
)

// zones keeps what was loaded: *time.Location by name.
var zones sync.Map

// Zone returns a time zone of the IANA database. Other than time.LoadLocation it
// refuses the empty name and "Local", which mean another zone on another
// machine. An error wraps ErrZone.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%w: %q", ErrZone, name)
	}
	if zone, ok := zones.Load(name); ok {
		if zone, ok := zone.(*time.Location); ok {
			return zone, nil
		}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrZone, name)
	}
	zones.Store(name, zone)
	return zone, nil
}

// A wall time is what a clock on the wall shows. It is kept as the moment at
// which a clock in UTC shows it, so that it can be compared and added to.
type wall = time.Time

// wallAt returns what a clock in the zone shows at a moment.
func wallAt(moment time.Time, zone *time.Location) wall {
	_, offset := moment.In(zone).Zone()
	return moment.UTC().Add(time.Duration(offset) * time.Second)
}

// segment is a span of time in which a zone's distance from UTC does not change.
type segment struct {
	start, end time.Time
	offset     time.Duration
}

// reach is how far from a wall time, taken as UTC, the moments are looked for
// that show it: farther than any zone has ever been from UTC, one day left out
// at the date line included.
const reach = 48 * time.Hour

// segments returns the spans around a wall time, in order.
func segments(shown wall, zone *time.Location) []segment {
	var spans []segment
	until := shown.Add(reach)
	for at := shown.Add(-reach); at.Before(until); {
		_, offset := at.In(zone).Zone()
		_, end := at.In(zone).ZoneBounds()
		if end.IsZero() || end.After(until) {
			end = until
		}
		if !end.After(at) {
			// On 31 December of a leap year time.ZoneBounds says that the span has
			// ended already: it counts 365 days (Go 1.26). The distance from UTC is
			// right all the same, and no clock jumps within a quarter of an hour.
			end = at.Add(15 * time.Minute)
		}
		spans = append(spans, segment{start: at, end: end.UTC(), offset: time.Duration(offset) * time.Second})
		at = end.UTC()
	}
	return spans
}

// firstShown returns the first moment at which a clock in the zone shows a time
// or a later one.
func firstShown(shown wall, zone *time.Location) time.Time {
	for _, span := range segments(shown, zone) {
		moment := shown.Add(-span.offset)
		if moment.Before(span.start) {
			moment = span.start // the clock jumped over it
		}
		if moment.Before(span.end) {
			return moment
		}
	}
	return shown // not reached: the last span ends after the time was shown
}

// lastBefore returns the moment from which on a clock in the zone never again
// shows a time before this one.
func lastBefore(shown wall, zone *time.Location) time.Time {
	spans := segments(shown, zone)
	for i := len(spans) - 1; i >= 0; i-- {
		moment := shown.Add(-spans[i].offset)
		if !moment.After(spans[i].start) {
			continue // all of this span shows a later time
		}
		if moment.After(spans[i].end) {
			return spans[i].end // the clock jumped over it
		}
		return moment
	}
	return shown // not reached: the first span begins before the time was shown
}

// FirstShown returns the first moment at which a clock in the zone shows what a clock in UTC
// shows at the given one, or a later time: where the clock jumped over it, the moment of the
// jump.
func FirstShown(shown time.Time, zone *time.Location) time.Time { return firstShown(shown.UTC(), zone) }
