package criterion

import (
	"math"
	"strconv"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Within tells whether a number lies within bounds. NaN lies within none, and neither does
// anything within bounds of which there is none: nothing is shown by them.
func Within(r *releasev1.NumberRange, value float64) bool {
	if math.IsNaN(value) || r == nil || (r.Min == nil && r.Max == nil) {
		return false
	}
	return (r.Min == nil || value >= r.GetMin()) && (r.Max == nil || value <= r.GetMax())
}

// Bounds say a range in words.
func Bounds(r *releasev1.NumberRange) string {
	switch {
	case r == nil || (r.Min == nil && r.Max == nil):
		return "within no bounds"
	case r.Max == nil:
		return "at least " + Number(r.GetMin())
	case r.Min == nil:
		return "at most " + Number(r.GetMax())
	}
	return "at least " + Number(r.GetMin()) + " and at most " + Number(r.GetMax())
}

// Number writes a number so that it is read as the same one.
func Number(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
