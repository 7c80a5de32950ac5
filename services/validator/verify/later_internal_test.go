package verify

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// TestEachReleaseHasItsTurnToBeLookedAt: with three times as many that are due as there are slots, all
// have been looked at after three rounds, though the first ones stay due since nothing of them can be
// put on record.
func TestEachReleaseHasItsTurnToBeLookedAt(t *testing.T) {
	t.Parallel()
	l := NewLater(nil, check.Bake{}, nil, nil, nil, nil, time.Now)
	states := map[string]procedure.State{}
	for i := range 3 * looksAtOnce {
		states[fmt.Sprintf("shop-%02d", i)] = procedure.State{}
	}
	start := time.Unix(1_800_000_000, 0)
	began := map[string]int{}
	for round := range 3 {
		l.forget(states)
		var now []string
		for _, release := range l.order(states) {
			if l.begin(release, 1, start.Add(time.Duration(round)*asksEvery)) {
				now = append(now, release)
			}
		}
		if len(now) != looksAtOnce {
			t.Fatalf("round %d: %d looks at once", round, len(now))
		}
		for _, release := range now {
			began[release]++
			l.end(release)
		}
	}
	for release := range states {
		if began[release] != 1 {
			t.Errorf("%s was looked at %d times", release, began[release])
		}
	}
	delete(states, "shop-00")
	if l.forget(states); len(l.begun) != len(states) || slices.Contains(l.order(states), "shop-00") {
		t.Errorf("%d are known of %d that are carried", len(l.begun), len(states))
	}
}
