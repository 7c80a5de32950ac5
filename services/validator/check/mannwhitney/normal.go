package mannwhitney

import "math"

// beyond is the probability that a number of the standard normal distribution is at least z.
func beyond(z float64) float64 {
	switch {
	case math.IsNaN(z):
		return 1
	case z < 0:
		return 1 - beyond(-z)
	case z > 38:
		return 0
	case z < 3:
		// 1/2 - density * (z + z^3/3 + z^5/(3*5) + ...), until nothing is added any more.
		term, sum := z, z
		for k := 3.0; ; k += 2 {
			term = float64(term*z) * z / k
			next := sum + term
			if next == sum {
				return 0.5 - float64(density(z)*sum)
			}
			sum = next
		}
	}
	// density / (z + 1/(z + 2/(z + 3/(z + ...)))), from far enough behind.
	fraction := z
	for k := 300.0; k > 0; k-- {
		fraction = z + k/fraction
	}
	return density(z) / fraction
}

// density is that of the standard normal distribution.
func density(z float64) float64 {
	const root = 0.39894228040143267794 // 1 / sqrt(2 pi)
	return float64(root * exp(float64(-0.5*z)*z))
}

// exp is e to the power of a number that is not positive.
func exp(x float64) float64 {
	const (
		// The two add up to the logarithm of 2; any whole number of the first that occurs here is
		// exact.
		high = 6.93147180369123816490e-01
		low  = 1.90821492927058770002e-10
	)
	twos := math.Round(x / math.Ln2)
	rest := float64(x-float64(twos*high)) - float64(twos*low)
	sum := 1.0
	for k := 22.0; k > 0; k-- {
		sum = 1 + float64(rest*sum)/k
	}
	return math.Ldexp(sum, int(twos))
}
