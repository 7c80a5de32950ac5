package freeze_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func ics(lines ...string) *policyv1.Freeze {
	text := append([]string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//shipwarden//test"}, lines...)
	return &policyv1.Freeze{Name: "c", SetBy: "mia", Reason: "because", When: &policyv1.Freeze_Calendar{Calendar: &policyv1.Calendar{
		Icalendar: strings.Join(append(text, "END:VCALENDAR", ""), "\r\n"), TimeZone: "Europe/Berlin",
	}}}
}

// statusCanceled takes an event away.
const statusCanceled = "STATUS:CANCELLED" //nolint:misspell // RFC 5545 spells it so.

func rrule(start, rule string) *policyv1.Freeze {
	return &policyv1.Freeze{Name: "r", SetBy: "mia", Reason: "because", When: &policyv1.Freeze_Recurring{Recurring: &policyv1.Recurring{
		Start: start, Rule: rule, Length: durationpb.New(time.Hour), TimeZone: "Europe/Berlin",
	}}}
}

// TestEventsOfACalendar holds what each kind of event means against moments.
func TestEventsOfACalendar(t *testing.T) {
	series := []string{"BEGIN:VEVENT", "UID:1", "DTSTART;TZID=Europe/Berlin:20261026T180000", "DTEND;TZID=Europe/Berlin:20261026T200000", "RRULE:FREQ=DAILY"}
	for _, test := range []struct {
		name        string
		freeze      *policyv1.Freeze
		held, start []string
	}{
		{"by the clock of its zone, after the clocks went back", ics(append(series, "END:VEVENT")...), []string{"2026-10-28T17:00:00Z"}, []string{"2026-10-28T16:59:59Z", "2026-10-28T19:00:00Z"}},
		{"a day left out, in another zone", ics(append(series, "EXDATE:20261028T170000Z", "END:VEVENT")...), []string{"2026-10-27T17:00:00Z"}, []string{"2026-10-28T17:00:00Z"}},
		{
			"one occurrence moved", ics(append(append(series, "END:VEVENT"), "BEGIN:VEVENT", "UID:1", "RECURRENCE-ID;TZID=Europe/Berlin:20261028T180000", "DTSTART;TZID=Europe/Berlin:20261028T220000", "DURATION:PT1H", "END:VEVENT")...),
			[]string{"2026-10-28T21:30:00Z", "2026-10-29T17:00:00Z"},
			[]string{"2026-10-28T17:00:00Z", "2026-10-28T22:00:00Z"},
		},
		{
			"one occurrence canceled", ics(append(append(series, "END:VEVENT"), "BEGIN:VEVENT", "UID:1", statusCanceled, "RECURRENCE-ID;TZID=Europe/Berlin:20261028T180000", "DTSTART;TZID=Europe/Berlin:20261028T180000", "END:VEVENT")...),
			[]string{"2026-10-29T17:00:00Z"},
			[]string{"2026-10-28T17:00:00Z"},
		},
		{"canceled", ics(append(series, statusCanceled, "END:VEVENT")...), nil, []string{"2026-10-28T17:00:00Z"}},
		{"added", ics(append(series, "RDATE;TZID=Europe/Berlin:20261028T090000", "END:VEVENT")...), []string{"2026-10-28T08:30:00Z", "2026-10-28T17:00:00Z"}, []string{"2026-10-28T12:00:00Z"}},
		{"a whole day of the calendar's zone, over the change", ics("BEGIN:VEVENT", "UID:2", "DTSTART;VALUE=DATE:20261025", "END:VEVENT"), []string{"2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z"}, []string{"2026-10-24T21:59:59Z", "2026-10-25T23:00:00Z"}},
		{"the leap day", ics("BEGIN:VEVENT", "UID:3", "DTSTART;VALUE=DATE:20240229", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "END:VEVENT"), []string{"2028-02-29T12:00:00Z"}, []string{"2027-03-01T12:00:00Z", "2027-02-28T12:00:00Z"}},
		{"a time without a length", ics("BEGIN:VEVENT", "UID:4", "DTSTART:20261028T120000Z", "END:VEVENT"), nil, []string{"2026-10-28T12:00:00Z"}},
		{"to another zone", ics("BEGIN:VEVENT", "UID:5", "DTSTART;TZID=Europe/Berlin:20261028T120000", "DTEND;TZID=America/New_York:20261028T120000", "END:VEVENT"), []string{"2026-10-28T15:59:59Z"}, []string{"2026-10-28T16:00:00Z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, want := range []struct {
				moments []string
				held    bool
			}{{test.held, true}, {test.start, false}} {
				for _, text := range want.moments {
					verdict, err := freeze.Evaluate([]*policyv1.Freeze{test.freeze}, moment(t, text), freeze.Scope{})
					if err != nil && !errors.Is(err, freeze.ErrFrozen) {
						t.Fatal(err)
					}
					if held := len(verdict.Reasons) > 0; held != want.held {
						t.Errorf("at %s: held %v", text, held)
					}
				}
			}
		})
	}
}

// TestWhatIsNotUnderstoodIsRefused has texts that would freeze something else than was
// meant, or keep somebody busy for good.
func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	event := func(lines ...string) *policyv1.Freeze {
		return ics(append(append([]string{"BEGIN:VEVENT", "UID:1"}, lines...), "END:VEVENT")...)
	}
	const start = "DTSTART:20261028T180000Z"
	for _, test := range []struct {
		name   string
		freeze *policyv1.Freeze
		want   string
	}{
		{"every second", rrule("2026-01-05T18:00", "FREQ=SECONDLY"), "too often"},
		{"every hour of a day", rrule("2026-01-05T18:00", "FREQ=DAILY;BYHOUR=18,19"), "BYHOUR"},
		{"never", rrule("2026-01-05T18:00", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "first occurrence"},
		{"never, year by year", rrule("2026-01-05T18:00", "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6"), "first occurrence"},
		{"begins beside the rule", rrule("2026-01-06T18:00", "FREQ=WEEKLY;BYDAY=MO"), "2026-01-06T18:00 is not its first occurrence"},
		{"the tenth Saturday of a month", rrule("2026-01-05T18:00", "FREQ=MONTHLY;BYDAY=10SA"), "cannot be evaluated"},
		{"once in a thousand years", rrule("2026-01-05T18:00", "FREQ=YEARLY;INTERVAL=99999999999"), "INTERVAL"},
		{"too long an interval to count", rrule("2026-01-05T18:00", "FREQ=DAILY;INTERVAL=9223372036854775807"), "INTERVAL"},
		{"backward", rrule("2026-01-05T18:00", "FREQ=DAILY;INTERVAL=-1"), "INTERVAL"},
		{"at Easter", rrule("2026-01-05T18:00", "FREQ=YEARLY;BYEASTER=0"), "BYEASTER"},
		{"without a frequency", rrule("2026-01-05T18:00", "BYDAY=MO"), "FREQ"},
		{"of its own start", rrule("2026-01-05T18:00", "FREQ=DAILY;DTSTART=20260105T180000Z"), "DTSTART"},
		{"two ends", rrule("2026-01-05T18:00", "FREQ=DAILY;UNTIL=20260205;UNTIL=20270205"), "UNTIL is there twice"},
		{"a count and an end", rrule("2026-01-05T18:00", "FREQ=DAILY;COUNT=3;UNTIL=20270205"), "exclude"},
		{"no day", rrule("2026-02-30T18:00", "FREQ=DAILY"), "is no time"},
		{"no zone", event("DTSTART;TZID=W. Europe Standard Time:20261028T180000"), "no time zone of the IANA database"},
		{"no start", event("DURATION:PT1H"), "DTSTART must be there once"},
		{"two starts", event(start, start), "DTSTART must be there once"},
		{"ends before it starts", event(start, "DTEND:20261028T170000Z"), "DTEND is before DTSTART"},
		{"two lengths", event(start, "DTEND:20261028T190000Z", "DURATION:PT1H"), "exclude"},
		{"lasts backward", event(start, "DURATION:-PT1H"), "DURATION"},
		{"all that follow are moved", event(start, "RECURRENCE-ID;RANGE=THISANDFUTURE:20261028T180000Z"), "RANGE"},
		{"two rules", event(start, "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY"), "more than one RRULE"},
		{"a period", event(start, "RDATE;VALUE=PERIOD:20261028T180000Z/PT1H"), "PERIOD"},
		{"years that nobody plans for", event("DTSTART:99990101T000000Z"), "year 9999"},
		{"a line that ends in a parameter", event("DTSTART;TZID=Europe/Berlin"), "ends too early"},
		{"a line without an end", event(start, "X-A;B="+strings.Repeat("x", 9000)+":y"), "longer than"},
		{"a line that is continued without an end", event(start, "X-A;B="+strings.Repeat("x\r\n ", 4000)+":y"), "longer than"},
		{"no event", ics(), "no event"},
		{"half a calendar", &policyv1.Freeze{Name: "c", When: &policyv1.Freeze_Calendar{Calendar: &policyv1.Calendar{Icalendar: "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", TimeZone: "UTC"}}}, "EOF"},
		{"more events than a year has days, each coming back", ics(strings.Split(strings.Repeat("BEGIN:VEVENT\n"+start+"\nRRULE:FREQ=DAILY\nEND:VEVENT\n", 200), "\n")...), "come back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdict, err := freeze.Evaluate([]*policyv1.Freeze{test.freeze}, moment(t, "2026-11-28T12:00:00Z"), freeze.Scope{})
			if !errors.Is(err, freeze.ErrWindow) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, %v", verdict, err)
			}
		})
	}
}

// TestTheEndOfARuleIsATimeOfItsZone has UNTIL in UTC, as RFC 5545 wants it.
func TestTheEndOfARuleIsATimeOfItsZone(t *testing.T) {
	window := rrule("2026-07-01T00:30", "FREQ=DAILY;UNTIL=20260702T223000Z")
	for at, held := range map[string]bool{"2026-07-02T22:30:00Z": true, "2026-07-03T22:30:00Z": false} {
		if v, err := freeze.Evaluate([]*policyv1.Freeze{window}, moment(t, at), freeze.Scope{}); err != nil || len(v.Reasons) > 0 != held {
			t.Errorf("at %s: %v, %v", at, v.Reasons, err)
		}
	}
}
