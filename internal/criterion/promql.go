package criterion

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Of PromQL only so much is known here: where quotes begin and end, what stands within
// them, and that brackets are closed. The source itself says what else is wrong with a
// query; but that what is put into one stays within its quotes is for us to see to.

// maxQuery bounds a query after its placeholders were filled, in bytes.
const maxQuery = 2048

// piece is a part of a query: what stands within a pair of quotes, or what stands between
// two of them.
type piece struct {
	text string
	// quote is the quote around it, 0 where there is none.
	quote byte
}

// pieces takes a query apart.
func pieces(query string) (all []piece, err error) {
	from := 0
	for at := 0; at < len(query); at++ {
		switch quote := query[at]; quote {
		case '#':
			return nil, errors.New("a comment hides what is asked: leave it out")
		case '"', '\'', '`':
			end := closing(query, at)
			if end < 0 {
				return nil, fmt.Errorf("the quote %c is not closed", quote)
			}
			all = append(all, piece{text: query[from:at]}, piece{query[at+1 : end], quote})
			at, from = end, end+1
		}
	}
	return append(all, piece{text: query[from:]}), nil
}

// closing is where the quote is closed that is opened at a place, -1 where it is not. A
// text does not go on in the next line, unless it is one without escapes.
func closing(query string, open int) int {
	quote := query[open]
	for at := open + 1; at < len(query); at++ {
		switch c := query[at]; {
		case c == quote:
			return at
		case c == '\\' && quote != '`':
			at++
		case c == '\n' && quote != '`':
			return -1
		}
	}
	return -1
}

var (
	// placeholder is one within quotes, braced what nothing but a placeholder looks like
	// outside of them.
	placeholder = regexp.MustCompile(`\{\s*[a-z_]+\s*\}`)
	braced      = regexp.MustCompile(`\{\s*[A-Za-z_]+\s*\}`)
	// filling is what may be put into a query: what means itself within every kind of
	// quotes, and in a regular expression as well.
	filling = regexp.MustCompile(`^[A-Za-z0-9:_-]{1,128}$`)
	// selecting is a selector and nothing around it, whose quotes hold nothing.
	selecting = regexp.MustCompile(`^\s*([A-Za-z_:][A-Za-z0-9_:]*\s*(\{[^(){}\[\]]*\})?|\{[^(){}\[\]]*\})\s*$`)
)

// fill puts into a query what its placeholders stand for. It refuses a placeholder that is
// none, or that stands outside of quotes, and whatever would not stay where it is put.
func fill(query string, values map[string]string) (string, error) {
	all, err := pieces(query)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, p := range all {
		text := p.text
		if p.quote == 0 {
			if wrong := braced.FindString(text); wrong != "" {
				return "", fmt.Errorf("%s stands outside of quotes", wrong)
			}
			out.WriteString(text)
			continue
		}
		filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
			value, ok := values[strings.Trim(found, "{}")]
			switch {
			case !ok:
				err = fmt.Errorf("%s stands for nothing: it is one of {target}, {service}, {environment} and {digest}", found)
			case !filling.MatchString(value):
				err = fmt.Errorf("what %s stands for cannot be put into a query", found)
			}
			return value
		})
		if err != nil {
			return "", err
		}
		out.WriteByte(p.quote)
		out.WriteString(filled)
		out.WriteByte(p.quote)
	}
	if out.Len() > maxQuery {
		return "", fmt.Errorf("it has %d bytes with what its placeholders stand for, at most %d are asked", out.Len(), maxQuery)
	}
	return out.String(), nil
}

// closed says which bracket of a query is not closed, or closes nothing.
func closed(query string) error {
	all, err := pieces(query)
	if err != nil {
		return err
	}
	var open []rune
	pairs := map[rune]rune{')': '(', ']': '[', '}': '{'}
	for _, p := range all {
		if p.quote != 0 {
			continue
		}
		for _, c := range p.text {
			switch c {
			case '(', '[', '{':
				open = append(open, c)
			case ')', ']', '}':
				if len(open) == 0 || open[len(open)-1] != pairs[c] {
					return fmt.Errorf("the bracket %c closes nothing", c)
				}
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("the bracket %c is not closed", open[len(open)-1])
	}
	return nil
}

// isSelector tells whether a query selects series and does nothing else.
func isSelector(query string) bool {
	all, err := pieces(query)
	if err != nil {
		return false
	}
	var outside strings.Builder
	for _, p := range all {
		if p.quote != 0 {
			outside.WriteString(`""`)
			continue
		}
		outside.WriteString(p.text)
	}
	return selecting.MatchString(outside.String())
}
