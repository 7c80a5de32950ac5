package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxSubject bounds a subject, in characters.
const maxSubject = 256

// Letter is a mail of one part in plain text, in UTF-8.
type Letter struct {
	// From is the sender's address, and To the name of the group that it is for: nobody's
	// address but the sender's stands in a letter.
	From, To string
	// Key is what the Message-ID is made from: for mail stores that look, letters with the
	// same key are one.
	Key string
	// Time is when it was written.
	Time time.Time
	// Subject may be any text: it becomes one line.
	Subject string
	// Header are further lines of the header, each a name and a value. They are written as
	// they are, and must hold nothing that comes from outside.
	Header [][2]string
	// Text may be any text. Whatever is in it stays in it.
	Text string
}

// Bytes returns the letter as it is handed to a relay: for the same letter always the same
// bytes. Whatever a request holds stays in the words of one line: subjects are encoded, and
// nothing else of it is in the header.
func (l Letter) Bytes() ([]byte, error) {
	var out bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&out, "%s: %s\r\n", name, value) }
	head("From", "Shipwarden <"+l.From+">")
	head("To", phrase(l.To)+":;")
	head("Date", l.Time.UTC().Format(time.RFC1123Z))
	head("Message-ID", MessageID(l.Key))
	head("Subject", subject(l.Subject))
	for _, h := range l.Header {
		head(h[0], h[1])
	}
	head("Auto-Submitted", "auto-generated") // RFC 3834: no machine answers it.
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	out.WriteString("\r\n")
	text := quotedprintable.NewWriter(&out)
	if _, err := text.Write([]byte(strings.ReplaceAll(l.Text, "\n", "\r\n") + "\r\n")); err != nil {
		return nil, err
	}
	if err := text.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// subject is a subject as it stands in a header. What had to be encoded is words of at most 75
// bytes, each in a line of its own: in one line they may be more than a relay takes (998 bytes
// by RFC 5322), which some hundred characters of three bytes are. What looks like such a word
// is encoded as well: people would be shown what it stands for, and that was never looked at.
func subject(text string) string {
	line := Line(text, maxSubject)
	encoded := mime.QEncoding.Encode("utf-8", line)
	if encoded == line && strings.Contains(line, "=?") {
		var words []string
		for part := range slices.Chunk([]byte(line), 20) {
			word := "=?utf-8?q?"
			for _, b := range part {
				word += fmt.Sprintf("=%02X", b)
			}
			words = append(words, word+"?=")
		}
		encoded = strings.Join(words, " ")
	}
	return strings.ReplaceAll(encoded, "?= =?", "?=\r\n =?")
}

// phrase is a name as it stands in a header: as it is where it is a word of letters, digits
// and hyphens, and quoted otherwise.
func phrase(name string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r >= unicode.MaxASCII || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, Line(name, maxSubject)) + `"`
}

// MessageID is the Message-ID of letters with that key.
func MessageID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "<" + hex.EncodeToString(sum[:16]) + "@shipwarden.invalid>"
}

// CheckAddress returns ErrAddress for a text that is no address, or more than one.
func CheckAddress(address string) error {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsAny(address, "\r\n<>") {
		return ErrAddress
	}
	return nil
}

// Line returns a text in one line of at most so many characters and "…".
func Line(text string, limit int) string {
	return strings.Join(strings.Fields(Shorten(text, limit)), " ")
}

// Shorten returns at most so many characters of a text, without those that are not seen and
// change what is. What was cut off is said by "…".
func Shorten(text string, limit int) string {
	var kept strings.Builder
	count := 0
	for _, r := range text {
		if (unicode.IsControl(r) && r != '\n' && r != '\t') || unicode.Is(unicode.Bidi_Control, r) {
			continue
		}
		if count == limit {
			kept.WriteRune('…')
			break
		}
		kept.WriteRune(r)
		count++
	}
	return kept.String()
}
