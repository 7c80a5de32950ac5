package proceduretest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Start is when every Stream begins.
var Start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Stream is what histories share: the server's clock and its last sequence. It is
// not safe for concurrent use.
type Stream struct {
	// Now is the server's clock.
	Now time.Time
	// Last is the sequence of the newest event.
	Last uint64
	// Pace is how far the clock moves before each event.
	Pace time.Duration
}

// NewStream returns a stream whose clock moves by a second with each event.
func NewStream() *Stream { return &Stream{Now: Start, Pace: time.Second} }

// History is the history of one release, and the state that it amounts to.
type History struct {
	*Stream
	// Release is the release's id, Asked the request that it was made from.
	Release string
	Asked   *releasev1.Request
	// Entries is every event in the order of the stream, Rejected those of them that
	// do not count.
	Entries  []procedure.Entry
	Rejected []procedure.Rejection
	// Class is what the driver of every target promises; fenced unless it is changed
	// before the preview.
	Class releasev1.DriverClass

	state procedure.State
}

// New returns an empty history of the request in a stream of its own. The first
// event is still to be appended.
func New(request *releasev1.Request) *History { return NewStream().New(request) }

// New returns an empty history of the request in the stream.
func (s *Stream) New(request *releasev1.Request) *History {
	release := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	return &History{
		Stream: s, Release: release, Asked: request, Class: releasev1.DriverClass_DRIVER_CLASS_FENCED,
		state: procedure.State{Release: release},
	}
}

// State is what the events amount to.
func (h *History) State() procedure.State { return h.state }

// Advance moves the server's clock.
func (h *History) Advance(d time.Duration) { h.Now = h.Now.Add(d) }

// Clone returns a history that goes on from here by itself, in a stream of its own.
func (h *History) Clone() *History {
	c, s := *h, *h.Stream
	c.Stream, c.Entries, c.Rejected = &s, slices.Clip(h.Entries), slices.Clip(h.Rejected)
	return &c
}

// Next builds the entry that the event would become if it were appended now.
func (h *History) Next(actor *releasev1.Actor, event *releasev1.Event) procedure.Entry {
	return Entry(h.state, h.Last+1, h.Now, actor, event)
}

// Entry builds the entry that the event would become in that state, under that
// sequence and at that time: by the service that may write it, after the newest
// event that counts. A nil actor stands for the service. An event that names an id,
// aggregate, writer, actor, time, previous event or procedure digest of its own
// keeps it.
func Entry(s procedure.State, sequence uint64, at time.Time, actor *releasev1.Actor, event *releasev1.Event) procedure.Entry {
	e := clone(event)
	if e.GetId() == "" {
		e.Id = fmt.Sprintf("00000000-0000-7000-8000-%012x", sequence)
	}
	if e.GetAggregate() == "" {
		e.Aggregate = procedure.Aggregate(s.Release)
	}
	if e.GetWriter() == "" {
		e.Writer = procedure.WriterOf(procedure.TypeOf(e))
	}
	if e.GetTime() == nil {
		e.Time = timestamppb.New(at)
	}
	if e.GetPrevious() == nil {
		e.Previous = s.Head.Previous()
	}
	if e.GetProcedureDigest() == "" {
		e.ProcedureDigest = ProcedureDigest
	}
	switch {
	case e.GetActor() != nil:
	case actor != nil:
		e.Actor = actor
	default:
		e.Actor = Service(e.GetWriter())
	}
	return procedure.Entry{Sequence: sequence, Digest: sha256.Sum256(Body(e)), Stored: at, Event: e}
}

// Body is the event's stored bytes.
func Body(e *releasev1.Event) []byte {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		// Only invalid UTF-8 in a string does this, and such bytes are never stored.
		return []byte(err.Error())
	}
	return body
}

// Store puts the entry into the stream as it is and folds it. The error is that of
// Evolve, and says that the entry does not count.
func (h *History) Store(e procedure.Entry) error {
	h.Last = max(h.Last, e.Sequence)
	h.Entries = append(h.Entries, e)
	next, err := procedure.Evolve(h.state, e)
	if err != nil {
		h.Rejected = append(h.Rejected, procedure.Rejection{Entry: e, Reason: err})
		return err
	}
	h.state = next
	return nil
}

// Append stores the event after the newest one, by the person of that name, or by
// the service that writes such events where the name is empty.
func (h *History) Append(person string, event *releasev1.Event) error {
	var actor *releasev1.Actor
	if person != "" {
		actor = Person(person)
	}
	h.Advance(h.Pace)
	return h.Store(h.Next(actor, event))
}

// Do is Append for events that count, and fails the test where one does not.
func (h *History) Do(tb testing.TB, person string, event *releasev1.Event) {
	tb.Helper()
	if event == nil {
		tb.Fatalf("release %s in phase %s: there is no such event now", h.Release, h.state.Phase)
	}
	if err := h.Append(person, event); err != nil {
		tb.Fatalf("release %s: %v", h.Release, err)
	}
}
