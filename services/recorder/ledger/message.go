package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
)

// Message is one message of the stream, opened or refused.
type Message struct {
	Sequence uint64
	Subject  string
	// Header is the header as EncodeHeader writes it.
	Header []byte
	Body   []byte
	// Stored is when the server stored it.
	Stored time.Time
	// Entry is the authentic event that it holds, and SignedBy its key; both are
	// zero where Refused is set.
	Entry    procedure.Entry
	SignedBy string
	// Refused says why it is no authentic event.
	Refused error
}

// Kinds of aggregates, by the first token of the subject.
const (
	kindRelease   = "rel"
	kindTarget    = "tgt"
	kindRequest   = "req"
	kindProcedure = "pol"
	kindArtifact  = "art"
)

// aggregateOf returns the first two tokens of a subject, and the first alone.
func aggregateOf(subject string) (aggregate, kind string) {
	kind, rest, found := strings.Cut(subject, ".")
	if !found {
		return clean(subject + "."), kind
	}
	name, _, _ := strings.Cut(rest, ".")
	return clean(subject[:len(kind)+1+len(name)]), kind
}

// releaseOf returns the release that an aggregate is the history of.
func releaseOf(aggregate string) string { return strings.TrimPrefix(aggregate, kindRelease+".") }

// Text is a text of a message as it is on record.
func Text(s string) string { return clean(s) }

// clean makes text storable: PostgreSQL takes neither invalid UTF-8 nor NUL, and
// a stranger's message must not be able to stop the recorder.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// EncodeHeader writes a header as lines, sorted by key, so that it has one form.
func EncodeHeader(h nats.Header) []byte {
	var few [16]string // as many as an event has, and some
	keys, size := few[:0], 0
	for k, values := range h {
		keys = append(keys, k)
		for _, v := range values {
			size += len(k) + len(v) + 3
		}
	}
	slices.Sort(keys)
	out := make([]byte, 0, size)
	for _, k := range keys {
		for _, v := range h[k] {
			out = append(out, k...)
			out = append(out, ": "...)
			out = append(out, v...)
			out = append(out, '\n')
		}
	}
	return out
}

// signatureIn is the signature in a header that EncodeHeader wrote; nil where there is
// none.
func signatureIn(header []byte) []byte {
	for line := range strings.Lines(string(header)) {
		value, found := strings.CutPrefix(line, envelope.SignatureHeader+": ")
		if !found {
			continue
		}
		_, text, _ := strings.Cut(strings.TrimSuffix(value, "\n"), " ")
		signature, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil
		}
		return signature
	}
	return nil
}

// digest is the SHA-256 of the body, which opening it has computed already.
func (m *Message) digest() [32]byte {
	if m.Refused == nil {
		return m.Entry.Digest
	}
	return sha256.Sum256(m.Body)
}
