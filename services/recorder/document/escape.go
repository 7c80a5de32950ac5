package document

import (
	"fmt"
	"strings"
	"unicode"
)

// special are the characters that mean something in Markdown wherever they stand.
// The colon and the at sign keep addresses from becoming links.
const special = "\\`*_{}[]()#+!|~:@$^="

// leading are those that mean something at the beginning.
const leading = "-.\"'"

// escape makes text harmless in Markdown and in the HTML that is made of it: it
// reads as it was written, on one line, and means nothing. Characters that cannot
// be seen, or that turn the direction of writing, are spelled out.
func escape(text string) string {
	var out strings.Builder
	for i, r := range text {
		switch {
		case r == '\n':
			out.WriteString(" ↵ ")
		case r == '\r':
		case r == '\t':
			out.WriteByte(' ')
		case r == '<':
			out.WriteString("&lt;")
		case r == '>':
			out.WriteString("&gt;")
		case r == '&':
			out.WriteString("&amp;")
		case hidden(r):
			fmt.Fprintf(&out, "\\\\u%04X", r)
		case strings.ContainsRune(special, r), i == 0 && strings.ContainsRune(leading, r):
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '.' && numbered(text[:i]):
			// "1." would begin a list, and "www." a link.
			out.WriteString("\\.")
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// numbered reports whether a dot behind the text would mean something.
func numbered(before string) bool {
	if strings.HasSuffix(strings.ToLower(before), "www") {
		return true
	}
	return before != "" && strings.Trim(before, "0123456789") == ""
}

// hidden reports whether a character cannot be seen or changes how others are.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) ||
		r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// code sets an identifier in code type. What is not plainly one is escaped.
func code(text string) string {
	if text == "" {
		return "–"
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:/@+,", r) {
			return escape(text)
		}
	}
	return "`" + text + "`"
}
