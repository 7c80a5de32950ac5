package execute

import (
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
)

// unsure is what becomes of a wave that was claimed while nobody can tell whether it may
// begin. It is looked at again, which is what an error means, until its claim is over; then it
// ends as one that was not begun: nothing else would end a later wave, whose approvals do not
// expire, and its targets would be locked for as long as another system is down. The time is
// that of the server's clock, or later.
func unsure(t reactor.Task, now time.Time, why error) (string, error) {
	until := t.State.Claim.Deadline
	if now.Before(until) {
		return "", why
	}
	return fmt.Sprintf("until %s nobody could tell whether it may begin: %v", until.UTC().Format(time.RFC3339), why), nil
}
