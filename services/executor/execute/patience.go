package execute

import (
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// outwaited reports whether the wave has waited for such rules, and for them without a break,
// for as long as a person has to decide. What it waited for before says nothing about them: one
// answer that fails must not end what has waited a day for something else.
func outwaited(t reactor.Task, such ...string) bool {
	since := heldSince(t, such)
	return !since.IsZero() && t.Now.Sub(since) >= t.State.Requested.GetTimeouts().GetDecision().AsDuration()
}

// heldSince is when the row of holds of the wave began, up to its newest one, of which each
// names one of the rules; zero where the newest one does not. Events that do not count in the
// history do not count here.
func heldSince(t reactor.Task, such []string) (since time.Time) {
	_, rejected := procedure.Fold(t.State.Release, t.History.Entries)
	for _, e := range slices.Backward(t.History.Entries) {
		if slices.ContainsFunc(rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence }) {
			continue
		}
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_ExecutionClaimed:
			return since // Earlier holds are those of another wave, or of another attempt.
		case *releasev1.Event_StartHeld:
			if !slices.ContainsFunc(d.StartHeld.GetReasons(), func(h *releasev1.HoldReason) bool { return slices.Contains(such, h.GetRule()) }) {
				return since
			}
			since = e.Stored
		}
	}
	return since
}

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
