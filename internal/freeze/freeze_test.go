package freeze_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func once(name string, start, end time.Time) *policyv1.Freeze {
	return &policyv1.Freeze{Name: name, SetBy: "mia", Reason: "because", When: &policyv1.Freeze_Once{
		Once: &policyv1.Span{Start: timestamppb.New(start), End: timestamppb.New(end)},
	}}
}

func weekly(name, zone string, fromDay policyv1.Weekly_Day, from string, toDay policyv1.Weekly_Day, to string) *policyv1.Freeze {
	return &policyv1.Freeze{Name: name, SetBy: "mia", Reason: "because", When: &policyv1.Freeze_Weekly{
		Weekly: &policyv1.Weekly{FromDay: fromDay, FromTime: from, ToDay: toDay, ToTime: to, TimeZone: zone},
	}}
}

const (
	monday   = policyv1.Weekly_DAY_MONDAY
	thursday = policyv1.Weekly_DAY_THURSDAY
	friday   = policyv1.Weekly_DAY_FRIDAY
	saturday = policyv1.Weekly_DAY_SATURDAY
	sunday   = policyv1.Weekly_DAY_SUNDAY
)

func TestStartIsInsideAndEndIsOutside(t *testing.T) {
	freezes := []*policyv1.Freeze{once("audit", moment(t, "2026-12-01T10:00:00Z"), moment(t, "2026-12-01T12:00:00Z"))}
	for _, test := range []struct {
		name, at string
		held     bool
	}{
		{"a nanosecond before the start", "2026-12-01T09:59:59.999999999Z", false},
		{"at the start", "2026-12-01T10:00:00Z", true},
		{"a nanosecond before the end", "2026-12-01T11:59:59.999999999Z", true},
		{"at the end", "2026-12-01T12:00:00Z", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := moment(t, test.at)
			verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			if held := len(verdict.Reasons) > 0; held != test.held {
				t.Errorf("held %v, want %v", held, test.held)
			}
			want := at
			if test.held {
				want = moment(t, "2026-12-01T12:00:00Z")
			}
			if !verdict.Until.Equal(want) {
				t.Errorf("until %v, want %v", verdict.Until, want)
			}
		})
	}
}

func TestWallClocksThatJump(t *testing.T) {
	// Berlin: 2026-03-29 02:00 -> 03:00 (01:00 UTC), 2026-10-25 03:00 -> 02:00 (01:00 UTC).
	for _, test := range []struct {
		name       string
		freeze     *policyv1.Freeze
		start, end string
	}{
		{"starts in the skipped hour: at the jump", weekly("w", "Europe/Berlin", sunday, "02:30", sunday, "05:00"), "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"},
		{"ends in the skipped hour: at the jump", weekly("w", "Europe/Berlin", sunday, "00:30", sunday, "02:30"), "2026-03-28T23:30:00Z", "2026-03-29T01:00:00Z"},
		{"over the skipped hour: an hour shorter", weekly("w", "Europe/Berlin", saturday, "20:00", sunday, "04:00"), "2026-03-28T19:00:00Z", "2026-03-29T02:00:00Z"},
		{"starts in the repeated hour: the first time", weekly("w", "Europe/Berlin", sunday, "02:30", sunday, "05:00"), "2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z"},
		{"ends in the repeated hour: the second time", weekly("w", "Europe/Berlin", sunday, "00:30", sunday, "02:30"), "2026-10-24T22:30:00Z", "2026-10-25T01:30:00Z"},
		{"ends when the clock falls back: the second time", weekly("w", "Europe/Berlin", sunday, "01:00", sunday, "03:00"), "2026-10-24T23:00:00Z", "2026-10-25T02:00:00Z"},
		{"half an hour repeated on Lord Howe", weekly("w", "Australia/Lord_Howe", sunday, "01:45", sunday, "01:50"), "2026-04-04T14:45:00Z", "2026-04-04T15:20:00Z"},
		{"midnight skipped in Beirut", weekly("w", "Asia/Beirut", sunday, "00:30", sunday, "02:00"), "2026-03-28T22:00:00Z", "2026-03-28T23:00:00Z"},
		{"on the last day of a leap year", weekly("w", "Europe/Berlin", sunday, "10:00", sunday, "12:00"), "2028-12-31T09:00:00Z", "2028-12-31T11:00:00Z"},
		{"on the last day of a leap year in summer", weekly("w", "Australia/Lord_Howe", thursday, "10:00", friday, "12:00"), "2048-12-30T23:00:00Z", "2049-01-01T01:00:00Z"},
		{"over the end of the week", weekly("w", "America/New_York", friday, "18:00", monday, "07:00"), "2026-10-30T22:00:00Z", "2026-11-02T12:00:00Z"},
		{"a whole day left out on Samoa", weekly("w", "Pacific/Apia", thursday, "12:00", saturday, "12:00"), "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start, end := moment(t, test.start), moment(t, test.end)
			for _, at := range []struct {
				at   time.Time
				want time.Time
			}{
				{start.Add(-1), start.Add(-1)},
				{start, end},
				{start.Add(end.Sub(start) / 2), end},
				{end.Add(-1), end},
				{end, end},
			} {
				verdict, err := freeze.Evaluate([]*policyv1.Freeze{test.freeze}, at.at, freeze.Scope{})
				if err != nil {
					t.Fatal(err)
				}
				if !verdict.Until.Equal(at.want) {
					t.Errorf("at %v: until %v, want %v", at.at, verdict.Until.UTC(), at.want)
				}
			}
		})
	}
}

func TestFreezeInsideASkippedHourDoesNotHold(t *testing.T) {
	freezes := []*policyv1.Freeze{weekly("w", "Europe/Berlin", sunday, "02:10", sunday, "02:50")}
	for at := moment(t, "2026-03-28T23:00:00Z"); at.Before(moment(t, "2026-03-29T05:00:00Z")); at = at.Add(time.Minute) {
		if verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{}); err != nil || len(verdict.Reasons) > 0 {
			t.Fatalf("held at %v: %v, %v", at, verdict.Reasons, err)
		}
	}
}

func TestEveryFreezeThatHoldsIsNamed(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	freezes := []*policyv1.Freeze{
		once("audit", at, at.Add(time.Hour)),
		once("over", at.Add(-time.Hour), at),
		once("campaign", at.Add(-time.Hour), at.Add(2*time.Hour)),
		once("touching", at.Add(2*time.Hour), at.Add(3*time.Hour)),
		once("later", at.Add(4*time.Hour), at.Add(5*time.Hour)),
	}
	verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	subjects := func(reasons []*releasev1.HoldReason) (names []string) {
		for _, reason := range reasons {
			names = append(names, reason.GetSubject())
		}
		return names
	}
	if diff := cmp.Diff([]string{"audit", "campaign"}, subjects(verdict.Reasons)); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"touching"}, subjects(verdict.Following)); diff != "" {
		t.Errorf("following (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"audit", "campaign", "touching"}, subjects(verdict.Holds())); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
	if got, want := verdict.Following[0].GetMessage(), "begins 2026-12-01T12:00:00Z, before a start is possible: because"; got != want {
		t.Errorf("following message %q, want %q", got, want)
	}
	if want := at.Add(3 * time.Hour); !verdict.Until.Equal(want) {
		t.Errorf("until %v, want %v", verdict.Until, want)
	}
	reason := verdict.Reasons[0]
	if reason.GetRule() != "freeze" || reason.GetSetBy() != "mia" || reason.GetMessage() != "because" || !reason.GetUntil().AsTime().Equal(at.Add(time.Hour)) {
		t.Errorf("reason %v", reason)
	}
}

func TestFreezeHoldsWhereItsListsMeetTheScope(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	scope := freeze.Scope{Environment: "production", Service: "shop", Targets: []string{"shop-eu1", "shop-eu2"}, Customers: []string{"acme"}}
	for _, test := range []struct {
		name   string
		change func(*policyv1.Freeze)
		held   bool
	}{
		{"everywhere", func(*policyv1.Freeze) {}, true},
		{"this environment", func(f *policyv1.Freeze) { f.Environments = []string{"staging", "production"} }, true},
		{"another environment", func(f *policyv1.Freeze) { f.Environments = []string{"staging"} }, false},
		{"another service", func(f *policyv1.Freeze) { f.Services = []string{"billing"} }, false},
		{"one of the targets", func(f *policyv1.Freeze) { f.Targets = []string{"shop-eu2"} }, true},
		{"another target", func(f *policyv1.Freeze) { f.Targets = []string{"shop-us1"} }, false},
		{"a customer served", func(f *policyv1.Freeze) { f.Customers = []string{"acme"} }, true},
		{"a customer not served", func(f *policyv1.Freeze) { f.Customers = []string{"globex"} }, false},
		{"this service elsewhere", func(f *policyv1.Freeze) { f.Services, f.Environments = []string{"shop"}, []string{"staging"} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			window := once("w", at.Add(-time.Hour), at.Add(time.Hour))
			test.change(window)
			verdict, err := freeze.Evaluate([]*policyv1.Freeze{window}, at, scope)
			if err != nil {
				t.Fatal(err)
			}
			if held := len(verdict.Reasons) > 0; held != test.held {
				t.Errorf("held %v, want %v", held, test.held)
			}
		})
	}
}

func TestFrozenWithoutAnEndIsAnError(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	for name, freezes := range map[string][]*policyv1.Freeze{
		"years at once": {once("w", at, at.AddDate(10, 0, 0))},
		"two halves of every week": {
			weekly("a", "Europe/Berlin", monday, "00:00", thursday, "12:00"),
			weekly("b", "Europe/Berlin", thursday, "12:00", monday, "00:00"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
			if !errors.Is(err, freeze.ErrFrozen) {
				t.Fatalf("error %v, want ErrFrozen", err)
			}
			if len(verdict.Reasons) == 0 || !verdict.Until.Equal(at.Add(freeze.Horizon)) {
				t.Errorf("verdict %v until %v", verdict.Reasons, verdict.Until)
			}
		})
	}
}

func TestFreezeThatNobodyUnderstandsIsAnError(t *testing.T) {
	at := moment(t, "2026-12-01T10:00:00Z")
	for _, test := range []struct {
		name   string
		freeze *policyv1.Freeze
		want   error
	}{
		{"no time", &policyv1.Freeze{Name: "w"}, freeze.ErrWindow},
		{"no start", &policyv1.Freeze{Name: "w", When: &policyv1.Freeze_Once{Once: &policyv1.Span{}}}, freeze.ErrWindow},
		{"ends before it starts", once("w", at, at.Add(-1)), freeze.ErrWindow},
		{"no length", weekly("w", "UTC", monday, "10:00", monday, "10:00"), freeze.ErrWindow},
		{"no day", weekly("w", "UTC", 0, "10:00", monday, "11:00"), freeze.ErrWindow},
		{"no time of day", weekly("w", "UTC", monday, "25:00", monday, "11:00"), freeze.ErrWindow},
		{"zone that is none", weekly("w", "Europe/Atlantis", monday, "10:00", monday, "11:00"), freeze.ErrZone},
		{"zone of this machine", weekly("w", "Local", monday, "10:00", monday, "11:00"), freeze.ErrZone},
		{"zone without a name", weekly("w", "", monday, "10:00", monday, "11:00"), freeze.ErrZone},
		{"zone that is a path", weekly("w", "../etc/passwd", monday, "10:00", monday, "11:00"), freeze.ErrZone},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := freeze.Evaluate([]*policyv1.Freeze{test.freeze}, at, freeze.Scope{}); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}
