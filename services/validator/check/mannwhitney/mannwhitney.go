// Package mannwhitney compares two lots of numbers by their ranks: the U test of Mann and
// Whitney, which is the rank sum test of Wilcoxon, and Cliff's delta, which says how much they
// differ. It asks nothing of how the numbers are distributed, and one wild value weighs no more
// than any other that is as far out in the order.
//
// The same numbers give the same bits everywhere and in every year, because a verdict is
// derived from them again: by auditors, on other machines. Products are rounded before they
// are added to, so that no processor joins the two; nothing depends on the order of the
// numbers; and no function of package math is used whose result differs from one architecture
// to the next, which Exp and Erfc do.
//
// That is why there is no library here. Of those for Go that have the test,
// github.com/aclements/go-moremath is the one that is looked after; it rests on math.Erfc and on
// sums in floating point, has no versions, and would bring all of its other statistics along.
// Gonum has no such test. What it takes is short, and is held against published tables and examples, and against
// the counting of all orders.
package mannwhitney

import (
	"math"
	"math/big"
	"slices"
)

// MaxExact is how many numbers either lot may have for the probability to be exact.
const MaxExact = 50

// Result is what a comparison of the lots x and y comes to.
type Result struct {
	// X and Y are how many numbers there are.
	X, Y int
	// U counts the pairs in which the number of x is the higher one; a tie counts half.
	U float64
	// Delta is Cliff's delta, in [-1, 1]: the share of pairs in which x is higher, less the
	// share of those in which it is lower.
	Delta float64
	// Higher and Lower are the probabilities that x would be as much higher, or lower, than y as
	// it is, or more, if both came from the same. Both are 1 where all numbers are the same.
	Higher, Lower float64
	// Exact says that they were counted. Otherwise they are those of the normal distribution
	// with what corrects it for ties and for whole numbers.
	Exact bool
}

// Compare compares two lots of finite numbers. Lots without any differ in nothing.
func Compare(x, y []float64) Result {
	r := Result{X: len(x), Y: len(y), Higher: 1, Lower: 1}
	if r.X == 0 || r.Y == 0 {
		return r
	}
	higher, ties, twice := pairs(x, y)
	lower := r.X*r.Y - higher - twice
	r.U = float64(2*higher+twice) / 2
	r.Delta = float64(higher-lower) / float64(r.X*r.Y)
	switch {
	case len(ties) == 0 && r.X <= MaxExact && r.Y <= MaxExact:
		r.Exact = true
		counts := orders(r.X, r.Y)
		r.Lower = share(counts, higher)
		r.Higher = share(counts, lower)
	default:
		r.Lower = approximate(r.X, r.Y, 2*higher+twice, ties)
		r.Higher = approximate(r.X, r.Y, 2*lower+twice, ties)
	}
	return r
}

// Least is the least probability that lots of so many numbers can come to: that all of x are
// higher than all of y.
func Least(x, y int) float64 {
	if x <= 0 || y <= 0 {
		return 1
	}
	least, _ := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Binomial(int64(x+y), int64(x))).Float64()
	return least
}

// pairs counts in how many pairs the number of x is the higher one, and in how many both are
// equal. Ties are how many numbers of both lots are the same, of each that is there twice.
func pairs(x, y []float64) (higher int, ties []int, equal int) {
	x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	for i, j := 0, 0; i < len(x) || j < len(y); {
		least := math.Inf(1)
		if i < len(x) {
			least = x[i]
		}
		if j < len(y) {
			least = min(least, y[j])
		}
		inX, inY := run(x[i:], least), run(y[j:], least)
		if inX+inY == 0 {
			return higher, ties, equal // What is no number cannot be put in order.
		}
		higher += inX * j
		equal += inX * inY
		if inX+inY > 1 {
			ties = append(ties, inX+inY)
		}
		i, j = i+inX, j+inY
	}
	return higher, ties, equal
}

// run is how many numbers at the beginning are that one.
func run(sorted []float64, value float64) int {
	for i, v := range sorted {
		if v != value {
			return i
		}
	}
	return len(sorted)
}

// orders counts, by U, the orders in which x and y can stand: the coefficients of the Gaussian
// polynomial of x+y over x, in whole numbers.
func orders(x, y int) []*big.Int {
	top := x * y
	counts := make([]*big.Int, top+1)
	for u := range counts {
		counts[u] = new(big.Int)
	}
	counts[0].SetInt64(1)
	for i := 1; i <= x; i++ {
		for u := top; u >= y+i; u-- {
			counts[u].Sub(counts[u], counts[u-y-i])
		}
		for u := i; u <= top; u++ {
			counts[u].Add(counts[u], counts[u-i])
		}
	}
	return counts
}

// share is the share of orders with at most that U.
func share(counts []*big.Int, most int) float64 {
	below, all := new(big.Int), new(big.Int)
	for u, n := range counts {
		if u <= most {
			below.Add(below, n)
		}
		all.Add(all, n)
	}
	out, _ := new(big.Rat).SetFrac(below, all).Float64()
	return out
}

// approximate is about how probable a U is that is at most half of twice: by the normal
// distribution, with a variance that ties make less, and half a step of U in favor of no
// difference.
func approximate(x, y, twice int, ties []int) float64 {
	n := x + y
	// The variance is xy/12 * ((n+1) - sum(t^3-t)/(n(n-1))); all of it but the division is in
	// whole numbers.
	tied := 0
	for _, t := range ties {
		tied += t * (t*t - 1)
	}
	whole := (n+1)*n*(n-1) - tied
	if whole <= 0 {
		return 1 // All are the same.
	}
	deviation := math.Sqrt(float64(float64(x*y)*float64(whole)) / float64(12*n*(n-1)))
	// The mean is xy/2, and so everything is taken twice.
	z := float64(x*y-twice-1) / 2 / deviation
	return min(beyond(z), 1)
}
