package chaos

import (
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// locks counts targets that one release locked while another one held them. Events
// of a target count in a chain: each names the one before.
func (b *bench) locks() {
	for aggregate, all := range b.entries {
		if !strings.HasPrefix(aggregate, "tgt.") {
			continue
		}
		var head procedure.Head
		holder := ""
		for _, e := range all {
			if !follows(e.Event, head) {
				if e.Event.GetTargetLocked() != nil && b.used(e) {
					b.count(&b.Double, "double", "%s: the lock of %s at %d follows %d and not %d, and was used",
						aggregate, e.Event.GetTargetLocked().GetRelease(), e.Sequence, e.Event.GetPrevious().GetSequence(), head.Sequence)
				}
				continue
			}
			head = procedure.Head{Sequence: e.Sequence, Digest: e.Digest}
			switch d := e.Event.GetData().(type) {
			case *releasev1.Event_TargetLocked:
				if by := d.TargetLocked.GetRelease(); holder != "" && holder != by && b.holds(holder, e) {
					b.count(&b.Double, "double", "%s is locked by %s at %d while %s holds it", aggregate, by, e.Sequence, holder)
				}
				holder = d.TargetLocked.GetRelease()
			case *releasev1.Event_TargetUnlocked:
				holder = ""
			}
		}
	}
}

// holds reports whether a release holds the target that another one locked: it has
// claimed it, with a claim that counts, and has not let it go.
func (b *bench) holds(release string, lock procedure.Entry) bool {
	target := strings.TrimPrefix(lock.Event.GetAggregate(), "tgt.")
	claimed := false
	for _, e := range b.counted[release] {
		if e.Sequence > lock.Sequence {
			break
		}
		claimed = claimed || slices.Contains(e.Event.GetExecutionClaimed().GetTargets(), target)
		if e.Event.GetTargetsReleased() != nil {
			return false
		}
	}
	return claimed
}

// used reports whether a target changed something under that lock.
func (b *bench) used(e procedure.Entry) bool {
	effects := b.effects[strings.TrimPrefix(e.Event.GetAggregate(), "tgt.")]
	return slices.ContainsFunc(effects, func(x effect) bool { return x.Fence.Sequence == e.Sequence })
}
