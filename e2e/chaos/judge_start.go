package chaos

import (
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// from counts a change that went from something else than people had seen: what was
// approved is the way from what a target carries to the artifact, and back again. What
// a command left behind nobody can tell.
func (b *bench) from(t targetPlan, release string, state procedure.State) {
	if t.Kind == kindCommand {
		return
	}
	seen := state.Preview(t.ID).GetRollbackDigest()
	if carried := b.before(t, release); carried != seen {
		b.count(&b.Unapproved, "unapproved", "%s was approved to go from %q by %s, and carried %q", t.ID, seen, release, carried)
	}
}

// aborts counts waves that were begun after their release had been aborted: what a target
// saw nothing of by then it must not see any more under a claim that came later. A claim
// from before may have been at work, and what was begun on one target of a wave is brought
// to its end on all. What a target was asked before anything was done is known of noop
// targets alone; of others by what they did.
func (b *bench) aborts(t targetPlan) {
	begun := map[string]bool{}
	for _, e := range b.touched[t.ID] {
		release, _ := b.owner(t, e)
		if e.Action != "apply" || begun[release] {
			continue
		}
		begun[release] = true
		claim, ok := b.claim(t, release, e)
		if by := b.aborted(release, claim); ok && !by.IsZero() && !b.begunBefore(release, claim, by) {
			b.count(&b.Early, "early", "%s was begun by %s under a claim %s after it was aborted", t.ID, release, claim.Stored.Sub(by))
		}
	}
}

// aborted is when somebody aborted the release before that claim, and nobody ordered to go
// on with it since; zero where nobody did.
func (b *bench) aborted(release string, claim procedure.Entry) time.Time {
	var at time.Time
	for _, e := range b.counted[release] {
		switch {
		case e.Sequence >= claim.Sequence:
			return at
		case e.Event.GetAborted() != nil:
			at = e.Stored
		case e.Event.GetIntervened().GetAction() == releasev1.Intervened_ACTION_RETRY:
			at = time.Time{}
		}
	}
	return at
}

// begunBefore reports whether a target of the wave had begun with an earlier claim of it,
// from before that time.
func (b *bench) begunBefore(release string, claim procedure.Entry, by time.Time) bool {
	wave := claim.Event.GetExecutionClaimed().GetWave()
	for _, e := range b.counted[release] {
		earlier := e.Event.GetExecutionClaimed()
		if earlier == nil || earlier.GetWave() != wave || !e.Stored.Before(by) {
			continue
		}
		for _, target := range earlier.GetTargets() {
			if b.begun[target][fmt.Sprintf("%s/%d/%d", release, wave, earlier.GetAttempt())] {
				return true
			}
		}
	}
	return false
}
