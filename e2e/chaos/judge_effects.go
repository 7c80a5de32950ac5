package chaos

import (
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// targets looks at every effect that every target had.
func (b *bench) targets() {
	for _, t := range b.world.plan.Targets {
		times := map[string]int{}
		for _, e := range b.effects[t.ID] {
			release, name := b.owner(t, e)
			times[name]++
			if times[name] > b.allowed(t, release, e) {
				b.count(&b.Double, "double", "%s had %s %d times", t.ID, name, times[name])
			}
			b.effect(t, release, e)
		}
		b.touches(t)
		b.aborts(t)
		b.starts(t)
	}
}

// owner is the release to which an effect belongs, and the effect's name: all
// attempts at one effect have the same.
func (b *bench) owner(t targetPlan, e effect) (release, name string) {
	if t.Kind == kindCommand {
		release = b.artifacts[e.Artifact]
		return release, e.Artifact + "/" + e.Action
	}
	release, _, _ = strings.Cut(e.Key, "/")
	return release, e.Effect
}

// allowed is how often a target may have had an effect. Nobody can tell what became
// of a command that was lost, so a person may have it run again.
func (b *bench) allowed(t targetPlan, release string, e effect) int {
	if t.Kind != kindCommand {
		return 1
	}
	again := releasev1.Intervened_ACTION_RETRY
	if e.Action == "rollback" {
		again = releasev1.Intervened_ACTION_ROLL_BACK
	}
	n := 1
	for _, x := range b.counted[release] {
		if x.Event.GetIntervened().GetAction() == again {
			n++
		}
	}
	return n
}

// effect looks whether one effect was allowed when it happened.
func (b *bench) effect(t targetPlan, release string, e effect) {
	state, known := b.states[release]
	if !known {
		b.count(&b.Unapproved, "unapproved", "%s had %s of %s, which is no release", t.ID, e.Action, release)
		return
	}
	for _, x := range b.counted[release] {
		if x.Event.GetTargetsReleased() != nil && e.Time.After(x.Stored) {
			b.count(&b.Early, "early", "%s had %s of %s %s after it was let go", t.ID, e.Action, release, e.Time.Sub(x.Stored))
		}
	}
	claim, ok := b.claim(t, release, e)
	if !ok {
		b.count(&b.Unapproved, "unapproved", "%s had %s of %s without a claim", t.ID, e.Action, release)
		return
	}
	for _, x := range b.counted[release] {
		if x.Event.GetIntervened() != nil && x.Sequence > claim.Sequence && e.Time.After(x.Stored) {
			b.count(&b.Early, "early", "%s had %s of %s %s after a person had decided about its claim", t.ID, e.Action, release, e.Time.Sub(x.Stored))
		}
	}
	if e.Action != "apply" {
		if want := b.before(t, release); e.Digest != want {
			b.count(&b.Unapproved, "unapproved", "%s was taken back to %s by %s, and had carried %q", t.ID, e.Digest, release, want)
		}
		return
	}
	if want := state.Request.GetArtifacts()[0].GetDigest(); e.Digest != want {
		b.count(&b.Unapproved, "unapproved", "%s was given %s by %s, not %s", t.ID, e.Digest, release, want)
	}
	b.from(t, release, state)
	b.time(t, release, e, claim)
	if why := b.unapproved(release, claim); why != "" {
		b.count(&b.Unapproved, "unapproved", "%s had the effect of %s: %s", t.ID, release, why)
	}
}

// claim finds the claim under which an effect happened: the one that was stored
// together with the lock that is the effect's fence. Commands keep no fence; theirs
// is the newest claim before.
func (b *bench) claim(t targetPlan, release string, e effect) (procedure.Entry, bool) {
	var found procedure.Entry
	for _, x := range b.counted[release] {
		targets := x.Event.GetExecutionClaimed().GetTargets()
		if e.Action == "rollback" {
			targets = x.Event.GetRollbackClaimed().GetTargets()
		}
		if !slices.Contains(targets, t.ID) {
			continue
		}
		switch {
		case t.Kind == kindCommand && !x.Stored.After(e.Time):
			found = x
		case t.Kind != kindCommand && x.Sequence < e.Fence.Sequence && e.Fence.Sequence <= x.Sequence+uint64(len(targets)):
			found = x
		}
	}
	if found.Event == nil || t.Kind == kindCommand {
		return found, found.Event != nil
	}
	locked := slices.ContainsFunc(b.entries["tgt."+t.ID], func(x procedure.Entry) bool {
		return x.Sequence == e.Fence.Sequence && x.Event.GetTargetLocked().GetRelease() == release
	})
	return found, locked
}

// time counts what started before it might, or after it might no longer.
func (b *bench) time(t targetPlan, release string, e effect, claim procedure.Entry) {
	r := b.states[release].Request
	if nb := r.GetNotBefore(); nb != nil && (e.Time.Before(nb.AsTime()) || claim.Stored.Before(nb.AsTime())) {
		b.count(&b.Early, "early", "%s was changed by %s at %s, not to be before %s", t.ID, release, e.Time, nb.AsTime())
	}
	frozen := slices.ContainsFunc(b.world.plan.Lanes, func(l lane) bool { return l.Frozen && l.Service == r.GetService() })
	if frozen && (e.Time.Before(b.world.freeze) || claim.Stored.Before(b.world.freeze)) {
		b.count(&b.Early, "early", "%s was changed by %s in a freeze", t.ID, release)
	}
	if by := claim.Event.GetExecutionClaimed().GetDeadline().AsTime(); e.Time.After(by) {
		b.count(&b.Early, "early", "%s was changed by %s %s after the claim's deadline", t.ID, release, e.Time.Sub(by))
	}
}

// before is what a target carried before a release came: what the newest effect of
// another one left there, for nobody else has the target meanwhile.
func (b *bench) before(t targetPlan, release string) string {
	carried := ""
	for _, e := range b.effects[t.ID] {
		owner, _ := b.owner(t, e)
		if owner == release {
			break
		}
		carried = e.Digest
	}
	return carried
}
