package freeze_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/freeze"
)

// shows is what a clock on the wall shows, as a number that grows with it.
func shows(at time.Time, zone *time.Location) time.Time {
	l := at.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// handedOver looks at the clock every minute, and hands over whenever it shows the next time
// or a later one: what is handed over is not taken back where the clock falls back.
func handedOver(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, start time.Time, length time.Duration, name string, from, to time.Time,
) {
	t.Helper()
	zone, err := freeze.Zone(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	turns, err := freeze.NewTurns(start.Format("2006-01-02T15:04"), name, length)
	if err != nil {
		t.Fatalf("%v", err)
	}
	turn, since := -1, time.Time{}
	for at := start.Add(-50 * time.Hour).Truncate(time.Minute); at.Before(to); at = at.Add(time.Minute) {
		for !shows(at, zone).Before(start.Add(time.Duration(turn+1) * length)) {
			turn, since = turn+1, at
		}
		if at.Before(from) {
			continue
		}
		number, begins, ends, ok := turns.At(at)
		switch {
		case ok != (turn >= 0):
			t.Fatalf("at %s: is it a turn? %t", at, ok)
		case !ok:
			continue
		case number != turn || !begins.Equal(since) || !at.Before(ends):
			t.Fatalf("at %s, %s in %s: turn %d from %s until %s, want turn %d from %s", at, shows(at, zone), name, number, begins, ends, turn, since)
		}
		// To the nanosecond: what ends does not hold any more when the next one begins.
		if next, b, _, ok := turns.At(ends); !ok || next <= number || !b.Equal(ends) {
			t.Fatalf("at its end %s: turn %d from %s, after turn %d", ends, next, b, number)
		}
		if last, _, e, ok := turns.At(ends.Add(-1)); !ok || last != number || !e.Equal(ends) {
			t.Fatalf("just before its end %s: turn %d until %s, and not turn %d", ends, last, e, number)
		}
	}
}

// TestTurnsAreHandedOverByTheClock has a year in which the clock is put forward and back, and
// every minute of it.
func TestTurnsAreHandedOverByTheClock(t *testing.T) {
	start := time.Date(2026, 1, 5, 2, 30, 0, 0, time.UTC) // a time that a clock skips once, and shows twice once
	handedOver(t, start, 24*time.Hour, "Europe/Berlin", start.Add(-50*time.Hour), start.AddDate(1, 0, 0))
}

// TestTurnsAreHandedOverAnywhere has days around which clocks are changed, or a day is left
// out at the date line.
func TestTurnsAreHandedOverAnywhere(t *testing.T) {
	changes := map[string][]time.Time{
		"Europe/Berlin":       {time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)},
		"America/New_York":    {time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)},
		"Australia/Lord_Howe": {time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC)},
		"Pacific/Apia":        {time.Date(2011, 12, 30, 10, 0, 0, 0, time.UTC)},
		"UTC":                 {time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)},
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"}).Draw(t, "zone")
		change := rapid.SampledFrom(changes[name]).Draw(t, "change")
		length := time.Duration(rapid.IntRange(60, 3*24*60).Draw(t, "minutes")) * time.Minute
		start := change.Add(-time.Duration(rapid.IntRange(-600, 5*24*60).Draw(t, "before")) * time.Minute)
		handedOver(t, start, length, name, change.Add(-30*time.Hour), change.Add(30*time.Hour))
	})
}

func TestTurnsThatAreNone(t *testing.T) {
	for _, test := range []struct {
		start, zone string
		length      time.Duration
		want        error
	}{
		{"2026-01-05T09:00", "Europe/Berlin", 0, freeze.ErrWindow},
		{"2026-01-05T09:00", "Europe/Berlin", 59 * time.Minute, freeze.ErrWindow},
		{"2026-01-05T09:00", "Europe/Berlin", time.Hour + time.Second, freeze.ErrWindow},
		{"2026-01-05T09:00", "Europe/Berlin", 401 * 24 * time.Hour, freeze.ErrWindow},
		{"2026-02-30T09:00", "Europe/Berlin", time.Hour, freeze.ErrWindow},
		{"", "Europe/Berlin", time.Hour, freeze.ErrWindow},
		{"2026-01-05T09:00", "Local", time.Hour, freeze.ErrZone},
		{"2026-01-05T09:00", "", time.Hour, freeze.ErrZone},
	} {
		if _, err := freeze.NewTurns(test.start, test.zone, test.length); !errors.Is(err, test.want) {
			t.Errorf("%v: %v", test, err)
		}
	}
	turns, err := freeze.NewTurns("2026-01-05T09:00", "UTC", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{{}, time.Date(2026, 1, 5, 8, 59, 59, 999999999, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if n, _, _, ok := turns.At(at); ok {
			t.Errorf("at %s it is turn %d", at, n)
		}
	}
	end, begin := time.Date(2199, 12, 31, 23, 59, 0, 0, time.UTC), time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	if n, _, _, ok := turns.At(end); !ok || n != int(end.Sub(begin).Hours()) {
		t.Errorf("at the end of it all: %d, %t", n, ok)
	}
}
