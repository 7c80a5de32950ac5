package chaos

import (
	"slices"
)

// touches counts what a target was made to do. Of a noop target by lines that the driver writes
// before it looks whether it has done so already: its own ledger could hide a second time. Of
// an entry of a bucket by its revisions, whoever wrote them, also those that change nothing; of
// a host by its ledger.
//
// A line more is no double by itself. Who takes over from an executor that died in the
// middle does it again, and a target that carries the digest already takes no harm. A
// double is a target that is changed to the same digest for one effect a second time, one
// that was done and was begun again all the same, and one that was reached under an older
// fence than before, by somebody who should have been shut out.
func (b *bench) touches(t targetPlan) {
	times, done := map[string]int{}, map[string]bool{}
	var newest effect
	for _, e := range b.touched[t.ID] {
		if e.Action == "done" {
			done[e.Effect] = true
			continue
		}
		if e.Fence.Epoch == newest.Fence.Epoch && e.Fence.Sequence < newest.Fence.Sequence {
			b.count(&b.Double, "double", "%s was reached by %s with fence %d after %d", t.ID, e.Key, e.Fence.Sequence, newest.Fence.Sequence)
		}
		if e.Digest != newest.Digest {
			times[e.Effect]++
		}
		if done[e.Effect] || times[e.Effect] > 1 {
			b.count(&b.Double, "double", "%s did %s again (%s)", t.ID, e.Effect, e.Key)
		}
		newest = e
	}
}

// starts counts what the application of a host saw. It may be started from one version
// more than once, because nobody knows how far a start came that was cut short. But it
// goes from one version to another once at most, forth with the one release and back
// with the other; and it sees nothing that the ledger does not, in the same order.
func (b *bench) starts(t targetPlan) {
	times := map[[2]string]int{}
	carried, at := "", 0
	ledger := b.effects[t.ID]
	for _, e := range b.seen[t.ID] {
		if e.Digest == carried {
			continue
		}
		step := [2]string{carried, e.Digest}
		if times[step]++; times[step] > 1 {
			b.count(&b.Double, "double", "the application of %s went from %q to %s %d times", t.ID, carried, e.Digest, times[step])
		}
		carried = e.Digest
		next := slices.IndexFunc(ledger[at:], func(x effect) bool { return x.Digest == e.Digest })
		if next < 0 {
			b.count(&b.Double, "double", "the application of %s came to %s, which its ledger does not know", t.ID, e.Digest)
			continue
		}
		at += next + 1
	}
}
