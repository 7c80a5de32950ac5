package reactor

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnprocessable says that the message can never be worked on. It is parked
	// and not delivered again.
	ErrUnprocessable = errors.New("message can not be worked on")
	// ErrNoDurable says that the durable does not exist, or no longer: the admin
	// step makes it, a service never does.
	ErrNoDurable = errors.New("durable does not exist")

	errPanic = errors.New("handler panicked")
	// errStale says that the stream's leader did not show what is known to be
	// stored. It is about to be replaced.
	errStale = errors.New("stream shows less than is known to be stored")
	// errDoesNotCount says that the step stored an event that the fold did not take:
	// the clock of its host is wrong, or the step and the fold disagree.
	errDoesNotCount = errors.New("what the step stored does not count")
)

// RetryAfter is an error that is no failure: the message is to be delivered again
// after that time, for instance when another process's lease is over. The cause
// goes into the log.
func RetryAfter(d time.Duration, cause error) error { return &retryAfter{after: d, cause: cause} }

type retryAfter struct {
	after time.Duration
	cause error
}

func (e *retryAfter) Error() string { return fmt.Sprintf("again after %s: %v", e.after, e.cause) }

func (e *retryAfter) Unwrap() error { return e.cause }
