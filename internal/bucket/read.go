package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// requestTimeout bounds one request: an answer that was lost with its connection never
	// comes, and asking again is harmless.
	requestTimeout = 2 * time.Second
	minPause       = 5 * time.Millisecond
	maxPause       = 500 * time.Millisecond
)

// The codes of JetStream that are told apart.
const (
	codeNoMessage  = 10037
	codeNoStream   = 10059
	codeWrongLast  = 10071
	codeWrongLastR = 10164 // of a stream with replicas
	codeNotStored  = 10077
)

// Revision is one message of an entry.
type Revision struct {
	// Sequence is its place in the bucket; 0 where nothing was ever written.
	Sequence uint64
	// Value is the document, and nil where there is none, and in a history.
	Value []byte
	// Digest is that of the document, with its algorithm, and "" where there is none; Size is
	// what it measures, in bytes.
	Digest string
	Size   int64
	// Present says that the entry has a value there: it is neither deleted nor unwritten.
	Present bool
	// Header is what stands beside the value.
	Header nats.Header
}

// Limits are what the bucket and its server take.
type Limits struct {
	// History is how many revisions of a key are kept; math.MaxInt without a bound.
	History int
	// Bytes is how much a value and its headers may measure together.
	Bytes int64
	// Room is how many bytes more the bucket takes; math.MaxInt64 without a bound.
	Room int64
	// Expires says that entries go away by themselves: after a while, or for newer ones.
	Expires bool
	// Mirror says that the bucket is a copy of another one, and cannot be written.
	Mirror bool
	// Intact says that nothing that was ever written into the bucket has been removed: what
	// it keeps of an entry is all that there ever was.
	Intact bool
	// Created is when the bucket was made, as its server says: another one of the same name has
	// another time. One that is restored from a backup may keep it.
	Created string
}

type answer struct {
	Error   *jetstream.APIError `json:"error,omitempty"`
	Message *struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Header  []byte `json:"hdrs,omitempty"`
		Data    []byte `json:"data,omitempty"`
	} `json:"message,omitempty"`
	Config *jetstream.StreamConfig `json:"config,omitempty"`
	State  *jetstream.StreamState  `json:"state,omitempty"`
	// Created is compared, and never read as a time.
	Created string `json:"created,omitempty"`
}

type get struct {
	Seq  uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

// Last reads the newest revision; the zero one where nothing was ever written. It goes on
// asking until ctx ends. Errors wrap ErrUnavailable, ErrNoBucket or ErrRefused.
func (e *Entry) Last(ctx context.Context) (Revision, error) {
	return e.get(ctx, get{Last: e.Subject()})
}

// Read reads one revision that the history has; the zero one where it is not there any more.
// Errors as of Last.
func (e *Entry) Read(ctx context.Context, sequence uint64) (Revision, error) {
	return e.get(ctx, get{Seq: sequence})
}

// History reads all revisions that the bucket keeps of the entry, oldest first, without their
// values: of many large ones there may be more than fits into memory. Errors as of Last.
func (e *Entry) History(ctx context.Context) ([]Revision, error) {
	var all []Revision
	for from := uint64(1); ; {
		r, err := e.get(ctx, get{Seq: from, Next: e.Subject()})
		if err != nil || r.Sequence == 0 {
			return all, err
		}
		r.Value = nil
		all, from = append(all, r), r.Sequence+1
	}
}

// maxCreated bounds the time that a server says, in bytes.
const maxCreated = 64

// Limits asks for the bucket's settings. Errors as of Last.
func (e *Entry) Limits(ctx context.Context) (Limits, error) {
	a, conn, err := e.ask(ctx, "$JS.API.STREAM.INFO."+e.stream(), nil)
	if err != nil {
		return Limits{}, err
	}
	if a.Config == nil || a.State == nil {
		return Limits{}, fmt.Errorf("settings of bucket %s: %w: the answer has none", e.bucket, ErrRefused)
	}
	out := Limits{
		History: int(a.Config.MaxMsgsPerSubject), Bytes: conn.MaxPayload(),
		Room: room(a.Config, a.State), Mirror: a.Config.Mirror != nil,
		Expires: a.Config.MaxAge != 0 || a.Config.Discard == jetstream.DiscardOld && (a.Config.MaxBytes > 0 || a.Config.MaxMsgs > 0),
		Intact:  a.State.Msgs == a.State.LastSeq,
		Created: a.Created[:min(len(a.Created), maxCreated)],
	}
	if out.History <= 0 {
		out.History = math.MaxInt // no bound
	}
	if most := int64(a.Config.MaxMsgSize); most > 0 {
		out.Bytes = min(out.Bytes, most)
	}
	return out, nil
}

func room(c *jetstream.StreamConfig, s *jetstream.StreamState) int64 {
	switch {
	case c.MaxMsgs > 0 && s.Msgs >= uint64(c.MaxMsgs):
		return 0
	case c.MaxBytes <= 0:
		return math.MaxInt64
	}
	return max(0, c.MaxBytes-int64(min(s.Bytes, math.MaxInt64)))
}

func (e *Entry) get(ctx context.Context, g get) (Revision, error) {
	body, err := json.Marshal(g)
	if err != nil {
		return Revision{}, fmt.Errorf("read entry %s: %w", e, err)
	}
	a, _, err := e.ask(ctx, "$JS.API.STREAM.MSG.GET."+e.stream(), body)
	if a.Error != nil && a.Error.ErrorCode == codeNoMessage {
		return Revision{}, nil
	}
	if err != nil {
		return Revision{}, err
	}
	if a.Message == nil || a.Message.Subject != e.Subject() {
		return Revision{}, fmt.Errorf("read entry %s: %w: the answer is no message of it", e, ErrRefused)
	}
	r := Revision{Sequence: a.Message.Seq, Header: nats.Header{}}
	if len(a.Message.Header) > 0 {
		// Headers that cannot be read are somebody else's, and say nothing.
		if header, err := nats.DecodeHeadersMsg(a.Message.Header); err == nil {
			r.Header = header
		}
	}
	if r.Present = !gone(r.Header); r.Present {
		r.Value, r.Size = a.Message.Data, int64(len(a.Message.Data))
		r.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(r.Value))
	}
	return r, nil
}

// gone reports whether a message says that the entry has no value.
func gone(h nats.Header) bool {
	switch h.Get(headerOperation) {
	case "DEL", "PURGE":
		return true
	}
	return h.Get("Nats-Marker-Reason") != ""
}

// ask makes one request of the bucket's interface, again and again until there is an answer.
// Beside an error the answer holds what the server said, if it did.
func (e *Entry) ask(ctx context.Context, subject string, body []byte) (answer, *nats.Conn, error) {
	conn, err := e.connected(ctx)
	if err != nil {
		return answer{}, nil, err
	}
	for attempt := 0; ; attempt++ {
		a, err := request(ctx, conn, subject, body)
		switch {
		case a.Error == nil && err == nil:
			return a, conn, nil
		case a.Error != nil && a.Error.ErrorCode == codeNoStream:
			return a, conn, fmt.Errorf("bucket %s: %w", e.bucket, ErrNoBucket)
		case a.Error != nil && a.Error.Code != http.StatusServiceUnavailable:
			return a, conn, fmt.Errorf("entry %s: %w: %w", e, ErrRefused, a.Error)
		case a.Error != nil:
			err = a.Error
		}
		if pause(ctx, attempt) != nil {
			return a, conn, fmt.Errorf("entry %s: %w: %w", e, ErrUnavailable, err)
		}
	}
}

func request(ctx context.Context, conn *nats.Conn, subject string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var a answer
	reply, err := conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return a, errors.New("the answer is no JSON")
	}
	return a, nil
}

// pause waits before the next attempt, longer each time and never in step with others.
func pause(ctx context.Context, attempt int) error {
	wait := min(minPause<<min(attempt, 10), maxPause)
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1)) //nolint:gosec // Nobody gains by guessing it.
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
