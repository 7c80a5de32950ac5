// Package terminal writes for people: text that others wrote is made harmless,
// tables are aligned without regard to the width of the window, colors are used on
// a terminal only.
//
// Names, reasons, comments and findings come from whoever may send a request or
// decide on one. Printed as they are, they could clear the screen, draw a gate that
// passed, or turn "reject" around with a control for right-to-left text. Escape
// leaves what is printable and spells out the rest.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Escape returns the text with everything spelled out that a terminal would obey
// or hide: control characters, escape sequences, line ends, direction marks,
// characters without width. The result is one line.
func Escape(s string) string {
	// A byte that is no character may be one to a terminal with another idea of text.
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if !strings.ContainsFunc(s, func(r rune) bool { return !shown(r) }) {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		if shown(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	return out.String()
}

// shown reports whether the character is seen as itself.
func shown(r rune) bool { return unicode.IsPrint(r) }

// Lines returns the lines of a text, each escaped, without empty ones at the end.
func Lines(s string) []string {
	s = strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Escape(strings.ReplaceAll(line, "\t", "    "))
	}
	return lines
}

// Time returns a time in UTC to the second, such as 2026-11-02T10:15:00Z, and "-"
// for none.
func Time(t *timestamppb.Timestamp) string {
	if t == nil || !t.IsValid() {
		return "-"
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// enum is what generated enums have in common.
type enum interface {
	~int32
	fmt.Stringer
}

// Word returns an enum's value as a word: its name without the prefix, in lower
// case, with hyphens; "-" for the value zero.
func Word[E enum](value E, prefix string) string {
	if value == 0 {
		return "-"
	}
	return Escape(strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", "-"))
}

// Cut returns the text with at most width characters; what is cut off is shown by
// an ellipsis. A width of zero or less is none.
func Cut(s string, width int) string {
	if width <= 0 {
		return s
	}
	runes := []rune(s)
	if len(runes) <= width {
		return s
	}
	return string(runes[:width-1]) + "…"
}
