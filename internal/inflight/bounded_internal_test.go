package inflight

import (
	"fmt"
	"strings"
	"testing"
)

// TestOfVeryManyTheFirstAreNamed: those that are in flight before those that only go first,
// and of the others how many they are.
func TestOfVeryManyTheFirstAreNamed(t *testing.T) {
	of := func(n int) []Found {
		var all []Found
		for i := range n {
			all = append(all, Found{Release: fmt.Sprint(i), Message: "in flight", Turn: i%2 == 0})
		}
		return all
	}
	if got := bounded(of(MaxFound)); len(got) != MaxFound || got[0].Release != "0" || got[MaxFound-1].Message != "in flight" {
		t.Errorf("%v", got)
	}
	got := bounded(of(2*MaxFound + 6))
	if len(got) != MaxFound || got[0].Release != "1" || got[1].Release != "3" || !strings.HasSuffix(got[MaxFound-1].Message, "in flight, and 38 more") {
		t.Errorf("%v", got)
	}
	for _, f := range got {
		if f.Turn {
			t.Errorf("%s only goes first", f.Release)
		}
	}
}
