package freeze

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-ical"
)

// moment is a time as a calendar writes it.
type moment struct {
	at       wall
	zone     *time.Location
	wholeDay bool
}

func value(props ical.Props, name string) string {
	if p := props.Get(name); p != nil {
		return p.Value
	}
	return ""
}

// single reads a property that stands once and holds one time.
func single(props ical.Props, name string, floating *time.Location) (moment, error) {
	all := props[name]
	if len(all) != 1 {
		return moment{}, fmt.Errorf("%s must be there once, and is there %d times", name, len(all))
	}
	zone, err := zoneOf(all[0], floating)
	if err != nil {
		return moment{}, err
	}
	return readMoment(name, all[0].Value, zone)
}

// times reads properties that hold lists of times, as the clock of the zone shows them.
func times(props ical.Props, name string, zone, floating *time.Location) ([]wall, error) {
	var out []wall
	for _, p := range props[name] {
		if strings.EqualFold(p.Params.Get(ical.ParamValue), "PERIOD") {
			return nil, fmt.Errorf("%s with PERIOD is not supported", name)
		}
		own, err := zoneOf(p, floating)
		if err != nil {
			return nil, err
		}
		for text := range strings.SplitSeq(p.Value, ",") {
			m, err := readMoment(name, text, own)
			if err != nil {
				return nil, err
			}
			if m.zone.String() != zone.String() && !m.wholeDay {
				m.at = wallAt(firstShown(m.at, m.zone), zone)
			}
			if out = append(out, m.at); len(out) > maxTimes {
				return nil, fmt.Errorf("%s holds more than %d times", name, maxTimes)
			}
		}
	}
	return out, nil
}

// zoneOf is the zone of a property's times. Its name has to be that of the IANA database:
// what else a calendar calls by a name is defined in the calendar, and not the same
// everywhere.
func zoneOf(p ical.Prop, floating *time.Location) (*time.Location, error) {
	name := p.Params.Get(ical.ParamTimezoneID)
	if name == "" {
		return floating, nil
	}
	zone, err := Zone(name)
	if err != nil {
		return nil, fmt.Errorf("%s: TZID %.64q is no time zone of the IANA database, such as Europe/Berlin", p.Name, name)
	}
	return zone, nil
}

// readMoment reads a date, a date with a time, or one in UTC.
func readMoment(name, text string, zone *time.Location) (m moment, err error) {
	text = strings.TrimSpace(text)
	m.zone = zone
	switch {
	case len(text) == len("20060102"):
		m.wholeDay = true
		m.at, err = time.Parse("20060102", text)
	case strings.HasSuffix(text, "Z"):
		m.zone = time.UTC
		m.at, err = time.Parse("20060102T150405Z", text)
	default:
		m.at, err = time.Parse("20060102T150405", text)
	}
	if err != nil {
		return m, errors.New(name + " " + fmt.Sprintf("%.40q", text) + " is no time")
	}
	return m, nil
}
