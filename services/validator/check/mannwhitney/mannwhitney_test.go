package mannwhitney_test

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/services/validator/check/mannwhitney"
)

// apart gives lots of so many numbers without ties in which x is higher in u pairs.
func apart(x, y, u int) (lotX, lotY []float64) {
	for j := range y {
		lotY = append(lotY, float64(10*(j+1)))
	}
	for i := range x {
		above := min(u, y)
		u -= above
		lotX = append(lotX, float64(10*above+5)+float64(i)/1000)
	}
	return lotX, lotY
}

// TestTheTableOfMannAndWhitney: the probabilities that U is at most so much, as they were
// published in 1947 with three places, and are in every textbook since.
func TestTheTableOfMannAndWhitney(t *testing.T) {
	for _, table := range []struct {
		x, y int
		p    []float64
	}{
		{3, 3, []float64{.050, .100, .200, .350, .500}},
		{4, 4, []float64{.014, .029, .057, .100, .171, .243, .343, .443, .557}},
		{5, 5, []float64{.004, .008, .016, .028, .048, .075, .111, .155, .210, .274, .345, .421, .500}},
	} {
		for u, want := range table.p {
			r := mannwhitney.Compare(apart(table.x, table.y, u))
			if r.U != float64(u) || !r.Exact || math.Abs(r.Lower-want) > 0.00051 {
				t.Errorf("%d and %d, U %d: %+v, want %v", table.x, table.y, u, r, want)
			}
		}
	}
}

// TestTheTableOfCriticalValues: the highest U that is significant, as the tables have it for
// lots of the same size, of both sides at 5 % and at 1 %.
func TestTheTableOfCriticalValues(t *testing.T) {
	five := map[int]int{5: 2, 6: 5, 7: 8, 8: 13, 9: 17, 10: 23, 11: 30, 12: 37, 13: 45, 14: 55, 15: 64, 16: 75, 17: 87, 18: 99, 19: 113, 20: 127}
	one := map[int]int{5: 0, 6: 2, 7: 4, 8: 7, 9: 11, 10: 16, 15: 51, 20: 105}
	for alpha, table := range map[float64]map[int]int{0.05: five, 0.01: one} {
		for n, critical := range table {
			at, above := mannwhitney.Compare(apart(n, n, critical)), mannwhitney.Compare(apart(n, n, critical+1))
			if 2*at.Lower > alpha || 2*above.Lower <= alpha {
				t.Errorf("%v, %d: U %d has %v, the next one %v", alpha, n, critical, 2*at.Lower, 2*above.Lower)
			}
		}
	}
}

// TestPublishedExamples have results that others printed.
func TestPublishedExamples(t *testing.T) {
	for _, test := range []struct {
		name string
		x, y []float64
		u    float64
		p    func(mannwhitney.Result) float64
		want float64
	}{
		{
			"of the documentation of SciPy: the ages at which diabetes was found, both sides",
			[]float64{19, 22, 16, 29, 24},
			[]float64{20, 11, 17, 12},
			17,
			func(r mannwhitney.Result) float64 { return 2 * r.Higher },
			0.1111111111111111,
		},
		{
			"of the documentation of R, after Hollander and Wolfe: permeability, one side",
			[]float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46},
			[]float64{1.15, 0.88, 0.90, 0.74, 1.21},
			35,
			func(r mannwhitney.Result) float64 { return math.Round(r.Higher*1e4) / 1e4 },
			0.1272,
		},
	} {
		r := mannwhitney.Compare(test.x, test.y)
		if got := test.p(r); r.U != test.u || math.Abs(got-test.want) > 1e-15 {
			t.Errorf("%s: %+v: %v, want %v", test.name, r, got, test.want)
		}
	}
}

// TestEveryOrderIsCounted: of few numbers all orders can be written down, and counted.
func TestEveryOrderIsCounted(t *testing.T) {
	for x := 1; x <= 6; x++ {
		for y := 1; y <= 6; y++ {
			var all, most int
			at := make([]int, x*y+1)
			lots := make([][2][]float64, x*y+1)
			for set := range uint(1) << (x + y) {
				if bits.OnesCount(set) != x {
					continue
				}
				var lotX, lotY []float64
				u := 0
				for i := range x + y {
					if set>>i&1 == 1 {
						lotX = append(lotX, float64(i))
						u += len(lotY)
						continue
					}
					lotY = append(lotY, float64(i))
				}
				all++
				at[u]++
				lots[u] = [2][]float64{lotX, lotY}
			}
			for u, n := range at {
				most += n
				r := mannwhitney.Compare(lots[u][0], lots[u][1])
				if want := float64(most) / float64(all); r.U != float64(u) || r.Lower != want || r.Higher != float64(all-most+n)/float64(all) {
					t.Errorf("%d and %d, U %d: %+v, want %v", x, y, u, r, want)
				}
			}
			if want := 1 / float64(all); mannwhitney.Least(x, y) != want {
				t.Errorf("Least(%d, %d) = %v, want %v", x, y, mannwhitney.Least(x, y), want)
			}
		}
	}
}

// lot draws numbers of which many are the same.
func lot(t *rapid.T, name string) []float64 {
	return rapid.SliceOfN(rapid.Map(rapid.IntRange(-20, 20), func(n int) float64 { return float64(n) / 8 }), 1, 80).Draw(t, name)
}

// TestTheOrderOfNumbersDoesNotCount, what is turned around is turned around, and everything is
// as somebody would count it who looks at every pair and takes the formula of the textbook.
func TestTheOrderOfNumbersDoesNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := lot(t, "x"), lot(t, "y")
		r := mannwhitney.Compare(x, y)
		slices.Reverse(x)
		slices.Sort(y)
		if again := mannwhitney.Compare(x, y); again != r {
			t.Fatalf("%+v, and in another order %+v", r, again)
		}
		if turned := mannwhitney.Compare(y, x); turned.U != float64(r.X*r.Y)-r.U || turned.Delta != -r.Delta || turned.Higher != r.Lower || turned.Lower != r.Higher {
			t.Fatalf("%+v, and turned around %+v", r, turned)
		}
		u, delta := 0.0, 0
		for _, a := range x {
			for _, b := range y {
				switch {
				case a > b:
					u, delta = u+1, delta+1
				case a == b:
					u += 0.5
				default:
					delta--
				}
			}
		}
		if u != r.U || float64(delta)/float64(len(x)*len(y)) != r.Delta {
			t.Fatalf("%+v, want U %v and %d pairs", r, u, delta)
		}
		if want := textbook(x, y, u); !r.Exact && math.Abs(r.Higher-want) > 1e-12*want+1e-15 {
			t.Fatalf("%+v, want %v", r, want)
		}
		if r.Higher <= 0 || r.Higher > 1 || r.Lower <= 0 || r.Lower > 1 {
			t.Fatalf("%+v", r)
		}
	})
}

// textbook is the probability of a U as high as that by the normal distribution.
func textbook(x, y []float64, u float64) float64 {
	same := map[float64]float64{}
	for _, v := range slices.Concat(x, y) {
		same[v]++
	}
	n, m := float64(len(x)), float64(len(y))
	ties := 0.0
	for _, c := range same {
		ties += c*c*c - c
	}
	variance := n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1)))
	if variance <= 0 {
		return 1
	}
	return min(math.Erfc((u-n*m/2-0.5)/math.Sqrt(variance)/math.Sqrt2)/2, 1)
}

// TestWhatIsTheSameDiffersInNothing.
func TestWhatIsTheSameDiffersInNothing(t *testing.T) {
	for _, n := range []int{1, 5, 60} {
		x := slices.Repeat([]float64{0.25}, n)
		if r := mannwhitney.Compare(x, x); r.Delta != 0 || r.Higher != 1 || r.Lower != 1 {
			t.Errorf("%d: %+v", n, r)
		}
	}
	for _, lots := range [][2][]float64{{nil, nil}, {{1}, nil}, {nil, {1}}} {
		if r := mannwhitney.Compare(lots[0], lots[1]); r.Delta != 0 || r.Higher != 1 || r.Lower != 1 {
			t.Errorf("%v: %+v", lots, r)
		}
	}
	if mannwhitney.Least(0, 5) != 1 {
		t.Error("of nothing something is improbable")
	}
}

// TestTheNormalDistributionIsThePublishedOne: lots that come to a known distance from the mean.
func TestTheNormalDistributionIsThePublishedOne(t *testing.T) {
	for n := 51; n <= 500; n += 23 {
		for _, share := range []float64{0, 0.01, 0.2, 0.4, 0.45, 0.5, 0.55, 0.8, 1} {
			x, y := apart(n, n, int(share*float64(n*n)))
			r := mannwhitney.Compare(x, y)
			if want := textbook(x, y, r.U); r.Exact || math.Abs(r.Higher-want) > 1e-12*want {
				t.Errorf("%d, %v: %+v, want %v", n, share, r, want)
			}
		}
	}
}

// TestTheSameBitsEverywhere: these are the bits of results, whatever computes them.
func TestTheSameBitsEverywhere(t *testing.T) {
	var tied []float64
	for i := range 60 {
		tied = append(tied, float64(i%7))
	}
	x, y := apart(60, 60, 2200)
	var got []string
	for _, r := range []mannwhitney.Result{
		mannwhitney.Compare(apart(20, 20, 300)), mannwhitney.Compare(apart(50, 50, 900)), mannwhitney.Compare(x, y), mannwhitney.Compare(tied[:40], tied[20:]),
	} {
		got = append(got, fmt.Sprintf("%x %x", r.Higher, r.Lower))
	}
	want := []string{
		"0x1.92b73f8c80a6dp-09 0x1.fe8fd582ca77cp-01", "0x1.fc1a2ec7b29a9p-01 0x1.fcb04a89101b1p-08",
		"0x1.26fb5712e333p-06 0x1.f6e6705865fc6p-01", "0x1.15cdc27830472p-01 0x1.d857fe128c065p-02",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
