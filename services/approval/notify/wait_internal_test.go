package notify

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// When a channel is told is a function of the document, the release and the clock.
func TestWhenAChannelIsTold(t *testing.T) {
	const (
		start      = releasev1.Occasion_OCCASION_START
		end        = releasev1.Occasion_OCCASION_END
		correction = releasev1.Occasion_OCCASION_CORRECTION
		none       = releasev1.Deferral_REASON_UNSPECIFIED
		quiet      = releasev1.Deferral_REASON_QUIET_HOURS
		digest     = releasev1.Deferral_REASON_DIGEST
		follows    = releasev1.Deferral_REASON_FOLLOWS
	)
	night := []*policyv1.QuietHours{{From: "22:00", To: "07:00", TimeZone: "Europe/Berlin"}}
	hourly := &policyv1.Digest{Every: durationpb.New(time.Hour)}
	told := time.Date(2026, 6, 11, 5, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		occasion  releasev1.Occasion
		emergency bool
		starts    bool
		hours     []*policyv1.QuietHours
		digest    *policyv1.Digest
		waits     bool // the channel has not heard of the start
		at        string
		until     string
		reason    releasev1.Deferral_Reason
	}{
		{name: "no hours", occasion: end, at: "2026-06-10T22:00:00Z"},
		{name: "by day", occasion: end, hours: night, at: "2026-06-10T12:00:00Z"},
		{name: "at night", occasion: end, hours: night, at: "2026-06-10T22:00:00Z", until: "2026-06-11T05:00:00Z", reason: quiet},
		{name: "the night of the clock's change", occasion: end, hours: night, at: "2026-10-24T20:30:00Z", until: "2026-10-25T06:00:00Z", reason: quiet},
		{name: "the short night", occasion: end, hours: night, at: "2026-03-28T22:00:00Z", until: "2026-03-29T05:00:00Z", reason: quiet},
		{name: "gathered", occasion: end, digest: hourly, at: "2026-06-10T12:10:00Z", until: "2026-06-10T13:00:00Z", reason: digest},
		{name: "gathered, on the hour", occasion: end, digest: hourly, at: "2026-06-10T12:00:00Z", until: "2026-06-10T13:00:00Z", reason: digest},
		{name: "gathered into the night", occasion: end, digest: hourly, hours: night, at: "2026-06-10T19:30:00Z", until: "2026-06-11T05:00:00Z", reason: quiet},
		{name: "gathered at night", occasion: end, digest: hourly, hours: night, at: "2026-06-11T04:30:00Z", until: "2026-06-11T05:00:00Z", reason: quiet},
		{name: "a start", occasion: start, hours: night, at: "2026-06-10T22:00:00Z", until: "2026-06-11T05:00:00Z", reason: quiet},
		{name: "a start that waits for it", occasion: start, starts: true, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "of an emergency", occasion: end, emergency: true, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "an emergency", occasion: releasev1.Occasion_OCCASION_EMERGENCY, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "a call", occasion: releasev1.Occasion_OCCASION_ESCALATION, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "that it is taken on", occasion: releasev1.Occasion_OCCASION_TAKEN_ON, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "a correction", occasion: correction, hours: night, digest: hourly, at: "2026-06-10T22:00:00Z"},
		{name: "a correction of what is not known", occasion: correction, waits: true, at: "2026-06-10T22:00:00Z", until: "2026-06-11T05:00:00Z", reason: follows},
		{name: "hours that nobody understands", occasion: end, hours: []*policyv1.QuietHours{{From: "22:00", To: "07:00", TimeZone: "Mars/Base"}}, at: "2026-06-10T22:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			x := raised{notice: procedure.Notice{Occasion: c.occasion, Number: 1}}
			x.state.Request = &releasev1.Request{}
			if c.emergency {
				x.state.Request.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY
			}
			now := x.state
			if c.waits {
				now.Deferred = []procedure.Deferral{{Notice: procedure.Notice{Occasion: start, Number: 1}, Channel: "mail", Until: told}}
			}
			d := waits(&policyv1.Channel{Name: "mail", QuietHours: c.hours, Digest: c.digest}, x, now, at, c.starts)
			if c.until == "" {
				if d.GetUntil().AsTime().After(at) {
					t.Fatalf("it waits: %v", d)
				}
				return
			}
			if got := d.GetUntil().AsTime().Format(time.RFC3339); got != c.until || d.GetReason() != c.reason || (len(c.hours) > 0) != (d.GetZoneData() != "") {
				t.Errorf("until %s because of %s by %q, want %s because of %s", got, d.GetReason(), d.GetZoneData(), c.until, c.reason)
			}
		})
	}
}
