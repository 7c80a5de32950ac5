package mannwhitney

import (
	"math"
	"testing"
)

// TestBeyondIsThePublishedTable: the probabilities that tables of the normal distribution have.
func TestBeyondIsThePublishedTable(t *testing.T) {
	for z, want := range map[float64]float64{
		0: 0.5, 1: 0.15865525393145707, 1.2815515655446004: 0.1, 1.6448536269514722: 0.05, 1.959963984540054: 0.025,
		2.3263478740408408: 0.01, 3: 0.0013498980316300957, 4: 3.1671241833119965e-05, 6: 9.865876450377018e-10, 10: 7.619853024160525e-24,
	} {
		if got := beyond(z); math.Abs(got-want) > 1e-13*want {
			t.Errorf("beyond(%v) = %v, want %v", z, got, want)
		}
	}
	if beyond(39) != 0 || beyond(-39) != 1 || beyond(math.NaN()) != 1 {
		t.Error("what is far away, or no number, is something else")
	}
}

// TestBeyondFallsEverywhere: at no seam of the ways to compute it is there a step, and it is
// what package math computes on this machine.
func TestBeyondFallsEverywhere(t *testing.T) {
	last := 1.0
	for z := -8.0; z < 37; z += 1.0 / 256 {
		got, want := beyond(z), math.Erfc(z/math.Sqrt2)/2
		if got > last || math.Abs(got-want) > 3e-12*want {
			t.Fatalf("beyond(%v) = %v, want %v, after %v", z, got, want, last)
		}
		last = got
	}
}
