package digest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/services/recorder/digest"
)

func calendar(t *testing.T, at, zone string) digest.Calendar {
	t.Helper()
	c, err := digest.NewCalendar(at, zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDaysBeginAndAreToldByTheClockOfTheZone(t *testing.T) {
	for _, test := range []struct{ zone, at, day, begins, ends, due string }{
		{"Europe/Berlin", "07:00", "2026-12-01", "2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z", "2026-12-02T06:00:00Z"},
		// A day of 23 hours, and one of 25.
		{"Europe/Berlin", "07:00", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T05:00:00Z"},
		{"Europe/Berlin", "07:00", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T06:00:00Z"},
		// Told at a time that the clock jumps over, and at one that it shows twice.
		{"Europe/Berlin", "02:30", "2026-03-28", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "02:30", "2026-10-24", "2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"},
		// The clock jumps over midnight itself.
		{"Africa/Cairo", "00:00", "2026-04-23", "2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z", "2026-04-23T22:00:00Z"},
		// A day that there never was.
		{"Pacific/Apia", "07:00", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T17:00:00Z"},
	} {
		c := calendar(t, test.at, test.zone)
		day, err := digest.ParseDay(test.day)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{c.Begins(day).Format(time.RFC3339), c.Ends(day).Format(time.RFC3339), c.Due(day).Format(time.RFC3339)}
		if want := [3]string{test.begins, test.ends, test.due}; got != want {
			t.Errorf("%s %s: %v, want %v", test.zone, test.day, got, want)
		}
	}
}

// Whatever the zone, days follow one another without a gap, and none is told before it ends.
func TestOneDayBeginsWhereTheOtherEnds(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "Africa/Cairo", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana"} {
		c := calendar(t, "00:00", zone)
		day := c.DayOf(time.Date(2011, 1, 1, 12, 0, 0, 0, time.UTC))
		for range 366 * 2 {
			if c.Ends(day).Before(c.Begins(day)) || c.Due(day).Before(c.Ends(day)) || c.Due(day.Add(1)).Before(c.Due(day)) {
				t.Fatalf("%s: %s", zone, day)
			}
			if due := c.Due(day.Add(1)); c.Newest(due).Before(day.Add(1)) || c.Newest(due.Add(-time.Second)).Since(day.Add(1)) >= 0 && due.After(c.Due(day)) {
				t.Fatalf("%s: the newest day at %s is %s", zone, due, c.Newest(due))
			}
			day = day.Add(1)
		}
	}
}

func TestACalendarOfNoZoneIsRefused(t *testing.T) {
	for zone, want := range map[string]error{"": freeze.ErrZone, "Local": freeze.ErrZone, "Europe/Atlantis": freeze.ErrZone} {
		if _, err := digest.NewCalendar("07:00", zone); !errors.Is(err, want) {
			t.Errorf("%q: %v", zone, err)
		}
	}
	if _, err := digest.NewCalendar("7 o'clock", "UTC"); !errors.Is(err, digest.ErrTime) {
		t.Errorf("got %v", err)
	}
}
