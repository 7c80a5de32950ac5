package document

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// always are the characters that mean something in Markdown wherever they stand:
// code, emphasis, links, cells, strikethrough, mentions and formulas.
const always = "`*[]|~@$"

// leading are those that mean something at the beginning of a line only: headings,
// lists, underlines and definitions.
const leading = "#+-=:"

// punctuation is what a backslash before it would swallow itself for.
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

var (
	// entity is what reads as one character behind an ampersand.
	entity = regexp.MustCompile(`^&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);`)
	// ordinal would begin a numbered list at the beginning of a line.
	ordinal = regexp.MustCompile(`^[0-9]{1,9}[.)](?:\s|$)`)
)

// escape makes text harmless in Markdown and in the HTML that is made of it: it
// reads as it was written, on one line, and means nothing. A character is escaped
// only where it would be interpreted, so that versions, times and sentences stay
// legible in the source. Characters that cannot be seen, or that turn the direction
// of writing, are spelled out.
func escape(text string) string {
	text = strings.Trim(strings.ToValidUTF8(text, "\uFFFD"), " \t")
	if text == "" {
		return "–"
	}
	if ordinal.MatchString(text) {
		mark := strings.IndexAny(text, ".)")
		return text[:mark] + "\\" + text[mark:mark+1] + inline(text[mark+1:])
	}
	if strings.IndexByte(leading, text[0]) >= 0 {
		return "\\" + text[:1] + inline(text[1:])
	}
	return inline(text)
}

// inline is escape for text that does not begin a line.
func inline(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
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
		case r == '&' && entity.MatchString(text[i:]):
			out.WriteString("&amp;")
		case hidden(r) || r == unicode.ReplacementChar:
			fmt.Fprintf(&out, "\\\\u%04X", r)
		case means(r, text[:i], text[i+utf8.RuneLen(r):]):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// means reports whether the character would be interpreted where it stands.
func means(r rune, head, rest string) bool {
	switch r {
	case '\\':
		return rest == "" || strings.IndexByte(punctuation, rest[0]) >= 0 || rest[0] == '\n' || rest[0] == '\r'
	case '_':
		// Within a word it emphasizes nothing, however many there are.
		before, _ := utf8.DecodeLastRuneInString(strings.TrimRight(head, "_"))
		after, _ := utf8.DecodeRuneInString(strings.TrimLeft(rest, "_"))
		return !wordly(before) || !wordly(after)
	case '(':
		return strings.HasSuffix(head, "]")
	case ':':
		// An address would become a link.
		return strings.HasPrefix(rest, "//") || scheme(head)
	case '.':
		return strings.HasSuffix(strings.ToLower(head), "www")
	}
	return strings.ContainsRune(always, r)
}

// scheme reports whether a colon behind the text would make it the beginning of an
// address that needs no slashes.
func scheme(head string) bool {
	head = strings.ToLower(head)
	for _, s := range []string{"mailto", "xmpp", "javascript"} {
		if strings.HasSuffix(head, s) {
			return true
		}
	}
	return false
}

func wordly(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// hidden reports whether a character cannot be seen or changes how others are.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) ||
		unicode.Is(unicode.Variation_Selector, r) && r != '\uFE0F'
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
