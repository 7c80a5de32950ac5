package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// headerOperation is the header by which a bucket says that a message is no value.
const headerOperation = "KV-Operation"

// Write is what an entry becomes.
type Write struct {
	// After is the revision that it follows; 0 where nothing was ever written.
	After uint64
	// Value is the new value. It is not looked at where Present is false: then the entry has
	// none, as if it were deleted, and only headers.
	Value   []byte
	Present bool
	// Header is what stands beside the value.
	Header nats.Header
}

// Size is what the write measures, in bytes, as a limit counts it.
func (w Write) Size() int64 {
	n := int64(len("NATS/1.0\r\n\r\n") + len(w.Value))
	for name, values := range w.Header {
		for _, v := range values {
			n += int64(len(name) + len(": \r\n") + len(v))
		}
	}
	return n + overhead
}

// overhead is what Put adds in headers of its own, at most.
const overhead = 512

// Put writes the entry if its newest revision is still that which the write follows, and
// returns the new one. It asks once: errors wrap ErrRaced, ErrUnanswered, ErrUnavailable,
// ErrNoBucket or ErrRefused, and after ErrUnanswered the same write can be tried again,
// because of two of them one is stored at most.
func (e *Entry) Put(ctx context.Context, w Write) (uint64, error) {
	conn, err := e.connected(ctx)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrUnavailable, err)
	}
	m := nats.NewMsg(e.Subject())
	for name, values := range w.Header {
		m.Header[name] = values
	}
	m.Header.Set(jetstream.ExpectedStreamHeader, e.stream())
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(w.After, 10))
	if m.Data = w.Value; !w.Present {
		m.Data = nil
		m.Header.Set(headerOperation, "DEL")
	}
	each, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := conn.RequestMsgWithContext(each, m)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrRefused, err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrHeadersNotSupported):
		// Nobody was there to whom it could have been sent: of a server that was never
		// reached it is not known yet that it takes headers.
		return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrUnavailable, err)
	case err != nil:
		return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrUnanswered, err)
	}
	var ack struct {
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, fmt.Errorf("write entry %s: %w: the answer is no JSON", e, ErrUnanswered)
	}
	switch {
	case ack.Error == nil && ack.Stream == e.stream() && ack.Seq > 0:
		return ack.Seq, nil
	case ack.Error == nil:
		return 0, fmt.Errorf("write entry %s: %w: the answer is another stream's", e, ErrUnanswered)
	case ack.Error.ErrorCode == codeWrongLast, ack.Error.ErrorCode == codeWrongLastR:
		return 0, fmt.Errorf("write entry %s: %w", e, ErrRaced)
	case full(ack.Error):
		return 0, fmt.Errorf("write entry %s: %w: the bucket is full: %w", e, ErrRefused, ack.Error)
	case ack.Error.Code == http.StatusServiceUnavailable:
		// A cluster says so also of what it has begun to agree on.
		return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrUnanswered, ack.Error)
	}
	return 0, fmt.Errorf("write entry %s: %w: %w", e, ErrRefused, ack.Error)
}

// full reports whether a server did not store a message because of a bound of the bucket. It has
// one code for that and for disks that do not answer, of which nobody knows what they have.
func full(e *jetstream.APIError) bool {
	return e.ErrorCode == codeNotStored && strings.HasPrefix(e.Description, "maximum ") && strings.HasSuffix(e.Description, " exceeded")
}
