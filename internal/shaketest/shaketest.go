// Package shaketest has the ordinary tests try more than the seeds of a fuzz target: of
// every seed some variants, which are the same in every run.
//
// Fuzzing proper needs code that is built for it, and time (make fuzz). This is what can be
// had without: a slip that any broken input shows is seen by make test, before anybody
// thinks of fuzzing. Go names a variant that fails by its number, and running the same test
// again meets the same one.
package shaketest

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
)

// variants is how many are made of each seed: few enough that a target whose every input
// goes over a connection takes less than a second.
const variants = 40

// Add adds a seed to the target as f.Add does, and variants of it, in each of which one of
// the arguments that are bytes or text is damaged. While the target is fuzzed it adds the
// seed alone: the engine makes better ones.
func Add(f *testing.F, seed ...any) {
	f.Helper()
	f.Add(seed...)
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		return
	}
	for _, other := range vary(seed) {
		f.Add(other...)
	}
}

// vary returns the variants of a seed; none where it has neither bytes nor text.
func vary(seed []any) [][]any {
	random := rand.New(rand.NewPCG(uint64(len(seed)), digest(seed)))
	var out [][]any
	var soft []int
	for i, argument := range seed {
		switch argument.(type) {
		case []byte, string:
			soft = append(soft, i)
		}
	}
	for n := 0; n < variants && len(soft) > 0; n++ {
		other := slices.Clone(seed)
		i := soft[random.IntN(len(soft))]
		switch argument := other[i].(type) {
		case []byte:
			other[i] = damage(random, argument)
		case string:
			other[i] = string(damage(random, []byte(argument)))
		}
		out = append(out, other)
	}
	return out
}

// odd are bytes that readers take for something else than data.
var odd = [][]byte{
	{0},
	{0xff},
	[]byte("\r\n"), []byte(`"`), []byte(`\`), []byte("{"), []byte("["), []byte("null"), []byte("-1"), []byte("1e999"),
	[]byte("99999999999999999999"), []byte("\u202e"), []byte(`\u0000`), []byte("="), []byte("%"), []byte(";"), []byte("../"),
}

// damage returns a copy with one to three things changed.
func damage(random *rand.Rand, data []byte) []byte {
	out := slices.Clone(data)
	for range 1 + random.IntN(3) {
		from := random.IntN(len(out) + 1)
		to := from + random.IntN(min(len(out)-from, 16)+1)
		switch random.IntN(6) {
		case 0:
			out = out[:from]
		case 1:
			out = slices.Delete(out, from, to)
		case 2:
			out = slices.Insert(out, from, odd[random.IntN(len(odd))]...)
		case 3:
			out = slices.Insert(out, from, bytes.Repeat(out[from:to], 1+random.IntN(8))...)
		case 4:
			if from < len(out) {
				out[from] ^= 1 << random.IntN(8)
			}
		case 5:
			out = append(slices.Clone(out[:from]), odd[random.IntN(len(odd))]...)
			out = append(out, data[min(to, len(data)):]...)
		}
	}
	return out
}

// digest tells one seed from another, so that they are not all damaged in the same places.
func digest(seed []any) uint64 {
	sum := uint64(14695981039346656037)
	for _, argument := range seed {
		var data []byte
		switch argument := argument.(type) {
		case []byte:
			data = argument
		case string:
			data = []byte(argument)
		}
		for _, b := range data {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
	}
	return sum
}
