package execute

import (
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// together are the rules of holds of which nobody knows when they are over and which no
// other file gives its own patience, in rows: what is in one row holds a wave for one reason.
var together = [][]string{
	others,
	{ruleNeeds, ruleNeededBy},
	{procedure.HoldRollbackUnproved, procedure.HoldRollbackUnknown},
	{procedure.HoldPreviewUnknown},
	{procedure.HoldTargetBusy},
	{procedure.HoldPaused},
}

// outlast refuses the next wave where something has held it for as long as a person has to
// decide: a release that has begun is ended by no clock, and people would never hear that half
// of it is in production and waits for what nobody brings to its end.
func outlast(t reactor.Task, holds []*releasev1.HoldReason) []*releasev1.Finding {
	if begins(t.State) {
		return nil
	}
	var out []*releasev1.Finding
	for _, row := range together {
		if !outwaited(t, row...) {
			continue
		}
		for _, h := range holds {
			if slices.Contains(row, h.GetRule()) {
				out = append(out, &releasev1.Finding{
					Rule: h.GetRule(), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: h.GetSubject(), Message: h.GetMessage(),
				})
			}
		}
	}
	return out
}

// outwaited reports whether the wave has waited for such rules, and for them without a break,
// for as long as a person has to decide. What it waited for before says nothing about them: one
// answer that fails must not end what has waited a day for something else.
func outwaited(t reactor.Task, such ...string) bool {
	since := heldSince(t, such)
	return !since.IsZero() && t.Now.Sub(since) >= t.State.Requested.GetTimeouts().GetDecision().AsDuration()
}

// heldSince is when the row of holds of the wave began, up to its newest one, of which each
// names one of the rules; zero where the newest one does not. A hold of which everything has
// a known end breaks no row: at night nobody looks at what else holds, and a freeze of every
// night would begin the row anew every morning. Nor does a pause, for the same reason: whoever
// pauses what waits for something gives it no more time. Events that do not count in the history
// do not count here.
func heldSince(t reactor.Task, such []string) (since time.Time) {
	_, rejected := procedure.Fold(t.State.Release, t.History.Entries)
	for _, e := range slices.Backward(t.History.Entries) {
		if slices.ContainsFunc(rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence }) {
			continue
		}
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_ExecutionClaimed:
			return since // Earlier holds are those of another wave, or of another attempt.
		case *releasev1.Event_Resumed:
			if slices.Contains(such, procedure.HoldPaused) {
				return since // Who pauses it once more has as long again.
			}
		case *releasev1.Event_StartHeld:
			switch reasons := d.StartHeld.GetReasons(); {
			case slices.ContainsFunc(reasons, func(h *releasev1.HoldReason) bool { return slices.Contains(such, h.GetRule()) }):
				since = e.Stored
			case slices.ContainsFunc(reasons, func(h *releasev1.HoldReason) bool {
				return h.GetUntil() == nil && h.GetRule() != procedure.HoldPaused
			}):
				return since
			}
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
