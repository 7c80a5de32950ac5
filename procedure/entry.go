package procedure

import (
	"errors"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Errors of Evolve. An event for which Evolve returns one of them does not
// count: the state stays as it was, and the record keeps the event as rejected.
var (
	// ErrMalformed says that the event lacks what every event must have.
	ErrMalformed = errors.New("event is malformed")
	// ErrForeign says that the event belongs to another aggregate.
	ErrForeign = errors.New("event belongs to another aggregate")
	// ErrWriter says that the service may not write this kind of event.
	ErrWriter = errors.New("writer may not write this event")
	// ErrNotHead says that the writer had not seen the newest valid event: the
	// event is stale, a duplicate, or lost a race.
	ErrNotHead = errors.New("event does not follow the newest one")
	// ErrClockSkew says that the event's time and the server's do not fit.
	ErrClockSkew = errors.New("event time does not fit the time of storing")
	// ErrProcedure says that the event was decided under another procedure
	// document than the one that the release runs under.
	ErrProcedure = errors.New("event was decided under another procedure document")
	// ErrInvalidTransition says that the event may not happen in this state.
	ErrInvalidTransition = errors.New("invalid transition")
)

// Bounds on the difference between an event's own time and the time at which the
// server stored it. An event may be stored late, because an ambiguous answer makes
// its writer send the same bytes again; it is never stored early.
const (
	maxEarly = 5 * time.Second
	maxLate  = 10 * time.Minute
)

// Entry is an authentic event as the stream holds it: its signature was verified,
// and its subject and headers agree with it.
type Entry struct {
	// Sequence is its place in the stream.
	Sequence uint64
	// Digest is the SHA-256 of its stored bytes.
	Digest [32]byte
	// Stored is when the server stored it. Deadlines are judged by this clock.
	Stored time.Time
	// Event is what happened. It must not be changed.
	Event *releasev1.Event
}

// Head names the newest event that counts.
type Head struct {
	Sequence uint64
	Digest   [32]byte
}

// Previous is the head as the next event must name it; nil where there is none.
func (h Head) Previous() *releasev1.Previous {
	if h.Sequence == 0 {
		return nil
	}
	return &releasev1.Previous{Sequence: h.Sequence, Sha256: h.Digest[:]}
}

// Rejection is an event that does not count, and why.
type Rejection struct {
	Entry  Entry
	Reason error
}
