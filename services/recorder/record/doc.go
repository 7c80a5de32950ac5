// Package record is step 8 of the procedure: it reads the stream REL into the
// ledger, message by message, and closes the record of each release that has an
// outcome.
//
// The place in the stream is kept in the database, in the same transaction as the
// rows, and nowhere else: no acknowledgment can be lost, and a message is on
// record exactly once whatever is killed, and when (PD-8.1).
//
// # When it stops
//
// Sequences alone do not say that the stream is the one that was recorded so far:
// a server that lost its disk's newest writes gives the same sequences to other
// messages. Before a message is taken, and again on every new connection and now
// and then, the recorder therefore compares the epoch of the stream and the
// content of the message at the checkpoint. Where they differ, or where a message
// is missing, nothing more is recorded: the record stays what it was, the service
// is not ready, the metric shipwarden_recorder_stopped says why, and a person
// decides (PROTOCOL, "Recorder"). Queries are answered all the while.
//
// # Several recorders
//
// They may run at once: moving the checkpoint is a compare-and-set, and who loses
// reads it again and waits a while.
package record

import "errors"

// Reasons for which a recorder stops until a person has looked; each is a value of
// the metric's label.
const (
	ReasonRegressed = "stream_regressed"
	ReasonEpoch     = "epoch_changed"
	ReasonGap       = "gap"
)

var (
	// ErrRegressed says that the stream no longer holds what was recorded of it.
	ErrRegressed = errors.New("stream does not hold what was recorded of it")
	// ErrEpoch says that it is another stream than the one that was recorded.
	ErrEpoch = errors.New("stream has another epoch than the record")
	// ErrGap says that messages are missing that were never recorded.
	ErrGap = errors.New("messages are missing in the stream")

	// errInterrupted says that the connection changed: look again, go on.
	errInterrupted = errors.New("connection to the stream was interrupted")
	errReached     = errors.New("the last message that is wanted is recorded")
	errNoMessage   = errors.New("no such message in the stream")
)

// reasonOf returns the reason for which the error stops the recorder; empty for an
// error after which it tries again.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrRegressed):
		return ReasonRegressed
	case errors.Is(err, ErrEpoch):
		return ReasonEpoch
	case errors.Is(err, ErrGap):
		return ReasonGap
	}
	return ""
}
