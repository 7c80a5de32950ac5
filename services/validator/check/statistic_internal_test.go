package check

import (
	"math"
	"testing"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// numbers are those from one to another, apart by a step.
func numbers(from, step float64, n int) (out []float64) {
	for i := range n {
		out = append(out, from+step*float64(i))
	}
	return out
}

// TestWorseIsImprobableAndLargeAndMoreThanTolerated: each of the three alone is not enough.
func TestWorseIsImprobableAndLargeAndMoreThanTolerated(t *testing.T) {
	const (
		higher = releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE
		lower  = releasev1.MetricBaseline_DIRECTION_LOWER_IS_WORSE
		either = releasev1.MetricBaseline_DIRECTION_EITHER_IS_WORSE
	)
	for _, test := range []struct {
		name                     string
		direction                releasev1.MetricBaseline_Direction
		alpha, effect, tolerance float64
		changed, baseline        []float64
		want                     bool
	}{
		{"improbable and large", higher, 0.01, 0.33, 0, numbers(100, 1, 20), numbers(80.5, 1, 20), true},
		{"improbable and small", higher, 0.01, 0.33, 0, numbers(0.5, 1, 400), numbers(-60, 1, 400), false},
		{"improbable, and as small as is looked for", higher, 0.01, 0.2, 0, numbers(0.5, 1, 400), numbers(-60, 1, 400), true},
		{"large and not improbable", higher, 0.01, 0.33, 0, []float64{3, 5, 6, 7}, []float64{1, 2, 4, 8}, false},
		{"as improbable as may be", higher, 1.0 / 70, 0.33, 0, []float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, true},
		{"less improbable than may be", higher, 1.0 / 71, 0.33, 0, []float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, false},
		{"as improbable, in either direction", either, 2.0 / 70, 0.33, 0, []float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, true},
		{"less improbable, in either direction", either, 1.9 / 70, 0.33, 0, []float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, false},
		{"an effect that is just met", higher, 0.5, 0.5, 0, []float64{3, 4, 5, 6}, []float64{1, 2, 3.5, 5.5}, false},
		{"lower by what is tolerated", lower, 0.01, 0.33, 0.2, numbers(85, 0.1, 20), numbers(100, 0.1, 20), false},
		{"lower by more than is tolerated", lower, 0.01, 0.33, 0.1, numbers(85, 0.1, 20), numbers(100, 0.1, 20), true},
		{"higher by what is tolerated, of values below zero", higher, 0.01, 0.33, 0.2, numbers(-90, 0.1, 20), numbers(-100, 0.1, 20), false},
		{"higher by more than is tolerated, of values below zero", higher, 0.01, 0.33, 0.05, numbers(-90, 0.1, 20), numbers(-100, 0.1, 20), true},
	} {
		demand := criterion.Comparison{Direction: test.direction, Alpha: test.alpha, MinEffect: test.effect, Tolerance: test.tolerance}
		s := compute(demand, test.changed, test.baseline)
		got := false
		for _, one := range s.Tests {
			got = got || one.Worse
			if one.P <= 0 || one.P > 1 || math.Abs(one.Effect) > 1 {
				t.Errorf("%s: %+v", test.name, one)
			}
		}
		if got != test.want {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}

func TestMedians(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 3, 2}, math.MaxFloat64: {math.MaxFloat64, math.MaxFloat64}} {
		if got := median(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
}
