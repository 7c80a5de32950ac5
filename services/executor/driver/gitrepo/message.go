package gitrepo

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxSubject = 200
	// maxMessage bounds a message, in bytes.
	maxMessage = 64 << 10
)

var trailerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// Trailer is one line at the end of a message, "Name: value", as `git interpret-trailers` reads
// it.
type Trailer struct{ Name, Value string }

// Message is that of a commit.
type Message struct {
	// Subject is the first line.
	Subject string
	// Body is for people; "" for none.
	Body string
	// Trailers are for programs.
	Trailers []Trailer
}

// text is the message as Git has it. The error wraps ErrInvalid: nothing that somebody else chose
// makes a trailer of its own.
func (m Message) text() (string, error) {
	if m.Subject == "" || len(m.Subject) > maxSubject || !line(m.Subject) {
		return "", fmt.Errorf("subject of the commit: %w: one line of at most %d bytes", ErrInvalid, maxSubject)
	}
	var out strings.Builder
	out.WriteString(m.Subject + "\n")
	if body := strings.TrimSpace(m.Body); body != "" {
		for part := range strings.SplitSeq(body, "\n") {
			if !line(part) {
				return "", fmt.Errorf("body of the commit: %w: it is no plain text", ErrInvalid)
			}
		}
		out.WriteString("\n" + body + "\n")
	}
	if len(m.Trailers) > 0 {
		out.WriteString("\n")
	}
	for _, t := range m.Trailers {
		if !trailerName.MatchString(t.Name) || !line(t.Value) || strings.TrimSpace(t.Value) != t.Value || t.Value == "" {
			return "", fmt.Errorf("trailer %s of the commit: %w: it is not one line", t.Name, ErrInvalid)
		}
		out.WriteString(t.Name + ": " + t.Value + "\n")
	}
	if out.Len() > maxMessage {
		return "", fmt.Errorf("message of the commit: %w: more than %d bytes", ErrInvalid, maxMessage)
	}
	return out.String(), nil
}

func line(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085'
	})
}

// Trailer is the value of a trailer, "" where there is none. It must stand in the last paragraph of
// the message, all lines of which are trailers; of several the last counts.
func (c Commit) Trailer(name string) string {
	text := strings.TrimRight(strings.ReplaceAll(c.Message, "\r\n", "\n"), "\n ")
	at := strings.LastIndex(text, "\n\n")
	if at < 0 {
		return ""
	}
	value := ""
	for l := range strings.SplitSeq(text[at+2:], "\n") {
		found, v, ok := strings.Cut(l, ":")
		if !ok || !trailerName.MatchString(found) {
			return ""
		}
		if strings.EqualFold(found, name) {
			value = strings.TrimSpace(v)
		}
	}
	return value
}
