// Package exit decides with which code the command ends, and how an error is told.
//
// The codes are contract: pipelines branch on them. Text is printed by
// `shipwarden help exit-codes` and stands in docs/cli.md.
package exit

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Codes with which the command ends.
const (
	// OK means that what was asked for happened.
	OK = 0
	// Failed means that the release ended other than succeeded, that the request
	// was refused, or that something went wrong that has no code of its own.
	Failed = 1
	// Usage means that the command line, a setting or an input file is wrong.
	Usage = 2
	// TimedOut means that waiting took too long; what was waited for may still happen.
	TimedOut = 3
	// Denied means that the procedure, a policy or a person said no.
	Denied = 4
	// Unreachable means that a service or the bus cannot be reached, could not be
	// started, or has failed.
	Unreachable = 5
	// Interrupted means that somebody pressed Ctrl-C or ended the process.
	Interrupted = 130
)

// Topic is the text of `shipwarden help exit-codes`.
const Topic = `Exit codes of shipwarden:

  0    What was asked for happened. Where a release was waited for: it succeeded
       (also with issues; the outcome is printed).
  1    The release ended other than succeeded (rolled back, rolled forward, failed,
       withdrawn, superseded, expired), the request was refused, lint found
       something, replay found something that differs, or approve was answered
       with no.
  2    The command line, a setting or an input file is wrong, or names a release
       that does not exist.
  3    Waiting timed out. What was waited for may still happen.
  4    Denied: the release was rejected, the caller is unknown or may not do this,
       the release is in another state, or the change is not the one that was named.
  5    A service or the bus cannot be reached, or has failed. Of dev and demo: what
       they run could not be started, a port or the folder is in use, or not all of
       the demo's story happened.
  130  Interrupted.
`

// coded is an error that knows its code.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// With gives the error a code; nil stays nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code: code, err: err}
}

// Withf is With for a new error.
func Withf(code int, format string, args ...any) error {
	return &coded{code: code, err: fmt.Errorf(format, args...)}
}

// Otherwise gives the error a code where it has none of its own; nil stays nil.
func Otherwise(code int, err error) error {
	var c *coded
	if err == nil || errors.As(err, &c) {
		return err
	}
	return With(code, err)
}

// silent ends the command with a code and without a word: all was said already.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// Silently returns an error for a code of which everything was said; nil for OK.
func Silently(code int) error {
	if code == OK {
		return nil
	}
	return With(code, silent(code))
}

// IsSilent reports whether nothing is to be printed for the error.
func IsSilent(err error) bool {
	var s silent
	return errors.As(err, &s)
}

// Code returns the code for an error, OK for nil. The outermost code given counts,
// then that of a gRPC status, then those of an ended context.
func Code(err error) int {
	var c *coded
	switch {
	case err == nil:
		return OK
	case errors.As(err, &c):
		return c.code
	}
	if s, ok := status.FromError(err); ok || s.Code() != codes.Unknown {
		return ofStatus(s.Code())
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Interrupted
	}
	return Failed
}

func ofStatus(c codes.Code) int {
	switch c {
	case codes.OK:
		return OK
	case codes.InvalidArgument, codes.NotFound, codes.OutOfRange, codes.AlreadyExists:
		return Usage
	case codes.DeadlineExceeded:
		return TimedOut
	case codes.PermissionDenied, codes.FailedPrecondition, codes.Unauthenticated, codes.Aborted:
		return Denied
	case codes.Canceled:
		return Interrupted
	case codes.Unavailable, codes.Internal, codes.Unimplemented, codes.ResourceExhausted, codes.DataLoss, codes.Unknown:
		return Unreachable
	}
	return Failed
}

// OfOutcome returns the code for how a release ended.
func OfOutcome(o releasev1.Outcome) int {
	switch o { //nolint:exhaustive // All others are a failure for whoever waits.
	case releasev1.Outcome_OUTCOME_SUCCEEDED, releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES:
		return OK
	case releasev1.Outcome_OUTCOME_REJECTED:
		return Denied
	}
	return Failed
}
