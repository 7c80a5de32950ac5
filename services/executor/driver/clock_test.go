package driver_test

import (
	"context"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

func TestTheClockThatIsAheadDecides(t *testing.T) {
	start := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), start.Add(time.Minute))
	defer cancel()
	for name, test := range map[string]struct {
		now  time.Time
		want time.Duration
	}{
		"both agree":                   {start.Add(10 * time.Second), 50 * time.Second},
		"the calendar is ahead":        {start.Round(0).Add(50 * time.Second), 10 * time.Second},
		"the calendar is past it":      {start.Round(0).Add(2 * time.Minute), -time.Minute},
		"a deadline that is long past": {start.Add(time.Hour), -59 * time.Minute},
	} {
		if got, ok := driver.Left(ctx, test.now); got != test.want || !ok {
			t.Errorf("%s: %s, %t; want %s", name, got, ok, test.want)
		}
	}
	if _, ok := driver.Left(context.Background(), start); ok {
		t.Error("a deadline where there is none")
	}
}
