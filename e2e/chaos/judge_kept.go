package chaos

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// kept holds what is on record of every target against the target itself, when all is over:
// the bytes in the folder of a host, the newest revision of an entry, the ledger of a noop
// target. Nobody can tell what became of a lost command, so that its targets say nothing.
func (b *bench) kept(ctx context.Context) {
	for _, t := range b.world.plan.Targets {
		if t.Kind != kindCommand {
			b.keeps(t, b.world.carries(ctx, t.ID))
		}
	}
}

// keeps counts a target that carries something else than is on record, where nobody is at
// work on it any more.
func (b *bench) keeps(t targetPlan, carried string) {
	newest, ok := newestOf(b.entries["tgt."+t.ID])
	if !ok && carried != "" {
		b.count(&b.Unapproved, "unapproved", "%s carries %s, and nothing of it is on record", t.ID, carried)
	}
	state := newest.Event.GetTargetUnlocked().GetState()
	if newest.Event.GetTargetUnlocked() == nil || state.GetUnknownSince() != "" {
		return // It is locked still, or nobody claims to know.
	}
	if want := state.GetDeployed().GetDigest(); carried != want {
		b.count(&b.Lost, "lost", "%s carries %q, and %q is on record since %s", t.ID, carried, want, newest.Event.GetTargetUnlocked().GetRelease())
	}
}

// newestOf is the newest event of a target's chain, in which each names the one before.
func newestOf(all []procedure.Entry) (newest procedure.Entry, ok bool) {
	var head procedure.Head
	for _, e := range all {
		if follows(e.Event, head) {
			head, newest, ok = procedure.Head{Sequence: e.Sequence, Digest: e.Digest}, e, true
		}
	}
	return newest, ok
}

// follows reports whether an event names that one as the one before.
func follows(e *releasev1.Event, head procedure.Head) bool {
	p := e.GetPrevious()
	return p.GetSequence() == head.Sequence && (head.Sequence == 0 || slices.Equal(p.GetSha256(), head.Digest[:]))
}
