package risk

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// People are reminded so long before the release expires, whatever ends it first.
func TestWhenPeopleAreReminded(t *testing.T) {
	now := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
	hours := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for _, c := range []struct {
		before             time.Duration
		approveBy, startBy int
		want               time.Time
	}{
		{0, 72, 168, time.Time{}},
		{12 * time.Hour, 72, 168, hours(60)},
		{12 * time.Hour, 72, 24, hours(12)},
		{12 * time.Hour, 72, 12, time.Time{}},
	} {
		d := &policyv1.Deadlines{}
		if c.before > 0 {
			d.RemindBefore = durationpb.New(c.before)
		}
		if got := remindAt(d, hours(c.approveBy), hours(c.startBy), now); !got.Equal(c.want) {
			t.Errorf("%+v: at %s", c, got)
		}
	}
}
