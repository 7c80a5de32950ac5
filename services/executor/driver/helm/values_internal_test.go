package helm

import (
	"fmt"
	"testing"
)

// TestTwoValuesDoNotMeetInAName: with half a name two of some ten thousand do, and the way back of
// one would be the values of the other. What was placed by a name of before is found by it.
func TestTwoValuesDoNotMeetInAName(t *testing.T) {
	seen, halves := map[string]bool{}, map[string]bool{}
	var a, b string
	for i := 0; a == ""; i++ {
		if i > 1_000_000 {
			t.Fatal("no two begin in the same way")
		}
		one, err := sum(map[string]any{"n": i})
		if err != nil {
			t.Fatal(err)
		}
		if seen[one] {
			t.Fatalf("values %d are called %s, as others are", i, one)
		}
		if seen[one] = true; halves[one[:hexSumOnce]] {
			b = one
			for j := range i {
				if other, _ := sum(map[string]any{"n": j}); other[:hexSumOnce] == one[:hexSumOnce] {
					a = other
				}
			}
		}
		halves[one[:hexSumOnce]] = true
	}
	for _, test := range []struct {
		now, placed string
		want        bool
	}{
		{a, a, true}, {a, b, false}, {a, a[:hexSumOnce], true}, {a, "", false}, {a, fmt.Sprintf("%08x", 0), false}, {a, a[:4], false},
	} {
		if got := sameValues(test.now, test.placed); got != test.want {
			t.Errorf("%s and %s, which was placed: %t", test.now, test.placed, got)
		}
	}
	if len(a) != 16 {
		t.Errorf("%s is %d letters", a, len(a))
	}
}
