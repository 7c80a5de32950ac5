package pattern_test

import (
	"errors"
	"regexp/syntax"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/pattern"
)

// TestFewLettersThatStandForManyAreRefused (S22), before anything is compiled.
func TestFewLettersThatStandForManyAreRefused(t *testing.T) {
	for _, p := range []string{
		"(" + strings.Repeat("a", 10) + "){1000}",
		"(" + strings.Repeat("[a-z]?", 100) + "){100}",
		"(a{1,100}b{1,100}){1,10}" + strings.Repeat("|(c{1,500}d{1,500}){1,2}", 3),
		strings.Repeat("a", pattern.MaxBytes+1),
	} {
		if _, err := pattern.Compile(p); !errors.Is(err, pattern.ErrTooMuch) {
			t.Errorf("%.40s: %v", p, err)
		}
	}
	for _, p := range []string{"", "^CHG[0-9]{7}$", "https://git[.]shop[.]example/shop/[a-z.]+@refs/heads/main", "^[0-9a-f]{64}$", "^[a-z]([a-z0-9-]{0,253}[a-z0-9])?$"} {
		if compiled, err := pattern.Compile(p); err != nil || compiled.String() != p {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := pattern.Compile("(a"); err == nil || errors.Is(err, pattern.ErrTooMuch) {
		t.Errorf("of what is no pattern it says %v", err)
	}
}

// TestAPatternIsNoLargerThanItsWeightSays draws patterns: what they are compiled to is bounded
// by their weight.
func TestAPatternIsNoLargerThanItsWeightSays(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "abc", "[a-z]", "é", ".", "a|b", "^", "$", `\d`, `\b`, "(?i)x", "[^/]", `\pL`})
	often := rapid.SampledFrom([]string{"", "*", "+", "?", "{3}", "{2,}", "{0,4}", "{1,30}", "{0}"})
	rapid.Check(t, func(t *rapid.T) {
		p := ""
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			p = "(?:" + p + part.Draw(t, "part") + ")" + often.Draw(t, "often")
		}
		n, err := pattern.Weight(p)
		if err != nil {
			return
		}
		parsed, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		// Its beginning and end, and what a part that may be left out takes, are not counted.
		if got := len(program.Inst); got > 3*n+4 {
			t.Fatalf("%s has %d instructions and a weight of %d", p, got, n)
		}
	})
}
