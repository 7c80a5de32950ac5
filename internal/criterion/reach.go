package criterion

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	// bracketed is a span of time, or one with the step of what is computed within it.
	bracketed = regexp.MustCompile(`\[([^\[\]]*)\]`)
	// spanning is a duration of PromQL, and part one of its parts.
	spanning = regexp.MustCompile(`^([0-9]{1,9}(ms|[smhdwy]))+$`)
	part     = regexp.MustCompile(`([0-9]{1,9})(ms|[smhdwy])`)
	// shifting is what makes a value be of another time.
	shifting = regexp.MustCompile(`(?i)@|\boffset\b`)
)

// units are those of durations in PromQL.
var units = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// longestReach bounds how far back a query may reach that is compared with itself.
const longestReach = 24 * time.Hour

// reach is how far back before its time one value of a query rests on samples, beside the look
// back for the newest one: as far as its longest span, and as all of them together where there
// is one within another. It is an error where that cannot be told.
func reach(query string) (time.Duration, error) {
	all, err := pieces(query)
	if err != nil {
		return 0, err
	}
	var outside strings.Builder
	for _, p := range all {
		if p.quote == 0 {
			outside.WriteString(p.text)
			continue
		}
		outside.WriteString(`""`)
	}
	if word := shifting.FindString(outside.String()); word != "" {
		return 0, fmt.Errorf("%s makes values be of another time than is compared", word)
	}
	var longest, sum time.Duration
	nested := false
	for _, found := range bracketed.FindAllStringSubmatch(outside.String(), -1) {
		text, _, within := strings.Cut(found[1], ":")
		nested = nested || within
		span, err := spanOf(strings.TrimSpace(text))
		if err != nil {
			return 0, err
		}
		longest, sum = max(longest, span), min(sum+span, 2*longestReach)
	}
	if nested {
		longest = sum
	}
	if longest > longestReach {
		return 0, fmt.Errorf("it reaches back further than %s", longestReach)
	}
	return longest, nil
}

// spanOf reads a duration of PromQL.
func spanOf(text string) (sum time.Duration, err error) {
	if !spanning.MatchString(text) {
		return 0, fmt.Errorf("[%.20s] is no span of which is known here how long it is, such as [2m]", text)
	}
	for _, one := range part.FindAllStringSubmatch(text, -1) {
		var n int64
		if _, err := fmt.Sscan(one[1], &n); err != nil {
			return 0, errors.New("a span is no number")
		}
		if unit := units[one[2]]; n > int64(2*longestReach/unit) {
			return 2 * longestReach, nil
		}
		sum += time.Duration(n) * units[one[2]]
	}
	return sum, nil
}
