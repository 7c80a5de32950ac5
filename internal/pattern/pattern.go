// Package pattern bounds regular expressions that somebody else writes: in the procedure
// document, or in evidence that a rule of it reads. What Go's expressions take is linear in the
// text, but a few letters can stand for thousands of instructions, each of which may be looked
// at for each character (S22).
package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// MaxBytes is how long a pattern may be.
	MaxBytes = 1024
	// MaxWeight is about how many instructions it may be compiled to.
	MaxWeight = 5_000
)

// ErrTooMuch means that a pattern is longer, or weighs more, than is looked at.
var ErrTooMuch = errors.New("the pattern is too large")

// Compile compiles a pattern within the bounds, and is safe for concurrent use. Errors wrap
// ErrTooMuch, or are those of package syntax.
func Compile(p string) (*regexp.Regexp, error) {
	if _, err := Weight(p); err != nil {
		return nil, err
	}
	return regexp.Compile(p)
}

// Weight is about how many instructions a pattern is compiled to, one at least: what a match
// can look at for each character. Nothing is compiled for it. Errors are those of Compile.
func Weight(p string) (int, error) {
	if len(p) > MaxBytes {
		return 0, fmt.Errorf("%w: it has %d bytes, and %d are looked at", ErrTooMuch, len(p), MaxBytes)
	}
	parsed, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return 0, err
	}
	n := weight(parsed)
	if n > MaxWeight {
		return 0, fmt.Errorf("%w: its repetitions stand for more than %d characters", ErrTooMuch, MaxWeight)
	}
	return n, nil
}

// weight stops counting beyond the bound.
func weight(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpRepeat:
		times := re.Max
		if times < 0 {
			times = re.Min + 1
		}
		n += max(times, 1) * weight(re.Sub[0])
	default:
		for _, sub := range re.Sub {
			if n += weight(sub); n > MaxWeight {
				break
			}
		}
	}
	return min(max(n, 1), MaxWeight+1)
}
