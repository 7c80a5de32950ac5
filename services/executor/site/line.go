package site

import "strings"

// Bounds on texts in events, in bytes. An event that is larger than a message may
// be could never be stored, and the release would know nothing of its own outcome.
const (
	maxLine   = 512
	maxReason = 4 << 10
)

// Line makes a text of a driver or a registry fit for an event: valid, and not too
// long. What protobuf takes for no text would keep the whole event from the stream.
func Line(text string) string { return cut(text, maxLine) }

// Short is Line for what is said of every target beside the driver's own words.
func Short(text string) string { return cut(text, maxFound) }

func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= limit {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:limit-len(more)], "") + more
}
