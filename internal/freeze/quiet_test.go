package freeze_test

import (
	"errors"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

var (
	nights   = &policyv1.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Berlin"}
	weekends = &policyv1.QuietHours{
		Days: []policyv1.Weekly_Day{policyv1.Weekly_DAY_SATURDAY, policyv1.Weekly_DAY_SUNDAY}, From: "00:00", To: "00:00", TimeZone: "Europe/Berlin",
	}
)

// Nights of the clock are as long as the clock makes them, and hours that touch are one.
func TestQuietHoursEndByTheClock(t *testing.T) {
	for _, c := range []struct {
		name, at, until string
		hours           []*policyv1.QuietHours
	}{
		{"by day", "2026-06-10T10:00:00Z", "2026-06-10T10:00:00Z", []*policyv1.QuietHours{nights}},
		{"before midnight", "2026-06-10T20:00:00Z", "2026-06-11T05:00:00Z", []*policyv1.QuietHours{nights}},
		{"after midnight", "2026-06-11T01:00:00Z", "2026-06-11T05:00:00Z", []*policyv1.QuietHours{nights}},
		{"the last moment", "2026-06-11T04:59:59.999999999Z", "2026-06-11T05:00:00Z", []*policyv1.QuietHours{nights}},
		{"the end", "2026-06-11T05:00:00Z", "2026-06-11T05:00:00Z", []*policyv1.QuietHours{nights}},
		{"the night that is an hour shorter", "2026-03-28T21:30:00Z", "2026-03-29T05:00:00Z", []*policyv1.QuietHours{nights}},
		{"the night that is an hour longer", "2026-10-24T20:30:00Z", "2026-10-25T06:00:00Z", []*policyv1.QuietHours{nights}},
		{"a weekend with its nights", "2026-06-12T20:30:00Z", "2026-06-15T05:00:00Z", []*policyv1.QuietHours{nights, weekends}},
		{"a weekend alone", "2026-06-13T12:00:00Z", "2026-06-14T22:00:00Z", []*policyv1.QuietHours{weekends}},
		{"none", "2026-06-13T12:00:00Z", "2026-06-13T12:00:00Z", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, _ := time.Parse(time.RFC3339Nano, c.at)
			until, _ := time.Parse(time.RFC3339Nano, c.until)
			if got, err := freeze.QuietUntil(c.hours, at); err != nil || !got.Equal(until) {
				t.Errorf("until %s, want %s: %v", got, until, err)
			}
		})
	}
}

func TestQuietHoursThatNeverEndAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		hours *policyv1.QuietHours
		want  error
	}{
		"always":        {&policyv1.QuietHours{From: "00:00", To: "00:00", TimeZone: "UTC"}, freeze.ErrAlwaysQuiet},
		"no zone":       {&policyv1.QuietHours{From: "22:00", To: "07:00", TimeZone: "Mars/Base"}, freeze.ErrZone},
		"no time":       {&policyv1.QuietHours{From: "22", To: "07:00", TimeZone: "UTC"}, freeze.ErrWindow},
		"no day at all": {&policyv1.QuietHours{Days: []policyv1.Weekly_Day{9}, From: "22:00", To: "23:00", TimeZone: "UTC"}, freeze.ErrWindow},
	} {
		at := time.Date(2026, 6, 10, 10, 0, 0, 0, time.UTC)
		if got, err := freeze.QuietUntil([]*policyv1.QuietHours{c.hours}, at); !errors.Is(err, c.want) || !got.Equal(at) {
			t.Errorf("%s: until %s, %v", name, got, err)
		}
	}
}
