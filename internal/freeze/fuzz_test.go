package freeze_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// FuzzCalendar feeds texts of strangers to the reader of calendars. Whatever they are, it
// neither panics nor takes long; and what it understands is free at the earliest start
// that it names.
func FuzzCalendar(f *testing.F) {
	shaketest.Add(f, ics("BEGIN:VEVENT", "UID:1", "DTSTART;TZID=Europe/Berlin:20261026T180000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20271231", "EXDATE:20261102T170000Z", "END:VEVENT").GetCalendar().GetIcalendar())
	shaketest.Add(f, ics("BEGIN:VEVENT", "DTSTART;VALUE=DATE:20241225", "RRULE:FREQ=YEARLY", "RDATE:20261128T000000Z", "END:VEVENT").GetCalendar().GetIcalendar())
	shaketest.Add(f, ics("BEGIN:VEVENT", "DTSTART;X").GetCalendar().GetIcalendar())
	shaketest.Add(f, "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:00010101\nEND:VEVENT\nEND:VCALENDAR")
	f.Fuzz(func(t *testing.T, text string) {
		free(t, &policyv1.Freeze{Name: "c", When: &policyv1.Freeze_Calendar{Calendar: &policyv1.Calendar{Icalendar: text, TimeZone: "America/New_York"}}})
	})
}

// FuzzRule does the same with rules.
func FuzzRule(f *testing.F) {
	shaketest.Add(f, "2026-01-05T18:00", "FREQ=WEEKLY;BYDAY=MO", int64(3600))
	shaketest.Add(f, "2024-02-29T00:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", int64(86400))
	shaketest.Add(f, "2026-01-01T00:00", "FREQ=DAILY;INTERVAL=1000;BYSETPOS=-1;BYDAY=TH", int64(1))
	shaketest.Add(f, "2026-03-29T02:30", "FREQ=MONTHLY;BYDAY=-1SU;WKST=SU;COUNT=2147483647", int64(34560000))
	shaketest.Add(f, "1900-01-01T00:00", "FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=-366,366;UNTIL=21991231", int64(60))
	f.Fuzz(func(t *testing.T, start, rule string, seconds int64) {
		free(t, &policyv1.Freeze{Name: "r", When: &policyv1.Freeze_Recurring{Recurring: &policyv1.Recurring{
			Start: start, Rule: rule, TimeZone: "Europe/Berlin", Length: &durationpb.Duration{Seconds: seconds},
		}}})
	})
}

func free(t *testing.T, window *policyv1.Freeze) {
	t.Helper()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, kind := range []policyv1.Freeze_Kind{policyv1.Freeze_KIND_DENY, policyv1.Freeze_KIND_ALLOW} {
		window.Kind = kind
		verdict, err := freeze.Evaluate([]*policyv1.Freeze{window}, at, freeze.Scope{})
		switch {
		case errors.Is(err, freeze.ErrFrozen), errors.Is(err, freeze.ErrWindow), errors.Is(err, freeze.ErrZone):
			continue
		case err != nil:
			t.Fatal(err)
		}
		again, err := freeze.Evaluate([]*policyv1.Freeze{window}, verdict.Until, freeze.Scope{})
		if errors.Is(err, freeze.ErrFrozen) {
			continue // the horizon has moved
		}
		if err != nil || len(again.Reasons) > 0 {
			t.Fatalf("the earliest start %s is not free: %v, %v", verdict.Until, again.Reasons, err)
		}
	}
}
