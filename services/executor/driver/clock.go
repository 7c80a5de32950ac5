package driver

import (
	"context"
	"time"
)

// Left is the time until the context's deadline, at that moment by the caller's clock:
// the lesser of what the steady clock and what the calendar says, for either may have
// stood still while the other went on. False where the context has no deadline. A
// driver asks before it begins what it cannot stop, and not the context alone, whose
// timer may be late in a process that was asleep.
func Left(ctx context.Context, now time.Time) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	return min(deadline.Sub(now), deadline.Round(0).Sub(now.Round(0))), true
}
