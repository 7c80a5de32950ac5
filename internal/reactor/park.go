package reactor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// Kinds of notes: a message that is not delivered again, and one that fails on.
const (
	noteDropped = "dropped"
	noteStuck   = "stuck"
)

const (
	// maxParkedBody bounds how much of a message a note repeats, in bytes.
	maxParkedBody   = 1 << 10
	maxParkedReason = 1 << 10
	parkTimeout     = 10 * time.Second
	// codeStoreFailed is the server's answer where a subject has its one note.
	codeStoreFailed jetstream.ErrorCode = 10077
)

// Note is what the stream PARKED keeps of a message that a step could not work on,
// as JSON. The message itself stays in its stream. The subject of a note is
// park.<durable>.<stream>.<sequence>.<kind>, and there is one note by subject.
type Note struct {
	Kind     string    `json:"kind"`
	Step     string    `json:"step"`
	Process  string    `json:"process,omitempty"`
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Subject  string    `json:"subject"`
	SHA256   string    `json:"sha256"`
	Stored   time.Time `json:"stored"`
	Delivery int       `json:"delivery"`
	Reason   string    `json:"reason"`
	// Body is the beginning of the message, escaped.
	Body string `json:"body"`
}

// note stores a note and reports whether it is there.
func (d *delivery) note(ctx context.Context, m Message, kind string, reason error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkTimeout)
	defer cancel()
	sum := sha256.Sum256(m.Data)
	body, err := json.Marshal(Note{
		Kind: kind, Step: d.durable, Process: d.cfg.Name, Stream: m.Stream, Sequence: m.Sequence, Subject: m.Subject,
		SHA256: hex.EncodeToString(sum[:]), Stored: m.Stored, Delivery: m.Delivery,
		Reason: clip(reason.Error(), maxParkedReason), Body: strconv.QuoteToASCII(clip(string(m.Data), maxParkedBody)),
	})
	if err == nil {
		_, err = d.js.Publish(ctx, noteSubject(d.durable, m, kind), body, jetstream.WithExpectStream(eventstore.StreamParked))
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeStoreFailed && api.Description == "maximum messages per subject exceeded" {
		return true
	}
	if err != nil {
		d.log(ctx, slog.LevelError, "note was not stored", m, err, slog.String("kind", kind))
		return false
	}
	d.log(ctx, slog.LevelError, "message was parked", m, reason, slog.String("kind", kind))
	return true
}

func noteSubject(durable string, m Message, kind string) string {
	return fmt.Sprintf("park.%s.%s.%d.%s", durable, m.Stream, m.Sequence, kind)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
