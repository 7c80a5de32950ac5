package exit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/terminal"
)

// called is the error of a call to a service, told for people.
type called struct {
	what string
	err  error
}

// Call names what was attempted by a call to a service; nil stays nil. The text of
// the result has the server's message, and a line for each detail: every field that
// is wrong, and the reason with what belongs to it. Text of the server is escaped.
func Call(what string, err error) error {
	if err == nil {
		return nil
	}
	return &called{what: what, err: err}
}

func (c *called) Unwrap() error { return c.err }

func (c *called) Error() string {
	s, ok := status.FromError(c.err)
	if !ok {
		return c.what + ": " + c.err.Error()
	}
	out := []string{c.what + ": " + meaning(s.Code()) + ": " + terminal.Escape(s.Message())}
	for _, d := range s.Details() {
		out = append(out, detail(d)...)
	}
	return strings.Join(out, "\n")
}

// meaning says what a code means for the person at the keyboard.
func meaning(c codes.Code) string {
	switch c { //nolint:exhaustive // The others speak for themselves.
	case codes.InvalidArgument:
		return "not valid"
	case codes.Unauthenticated:
		return "caller unknown"
	case codes.PermissionDenied:
		return "denied"
	case codes.FailedPrecondition:
		return "not possible now"
	case codes.Aborted:
		return "something changed"
	case codes.Unavailable:
		return "cannot reach the service"
	case codes.DeadlineExceeded:
		return "timed out"
	case codes.NotFound:
		return "not found"
	}
	return strings.ToLower(c.String())
}

func detail(d any) []string {
	var out []string
	switch d := d.(type) {
	case *errdetails.BadRequest:
		for _, v := range d.GetFieldViolations() {
			line := "  " + terminal.Escape(v.GetField()) + ": " + terminal.Escape(v.GetDescription())
			if v.GetReason() != "" {
				line += " (" + terminal.Escape(v.GetReason()) + ")"
			}
			out = append(out, line)
		}
	case *errdetails.PreconditionFailure:
		for _, v := range d.GetViolations() {
			out = append(out, fmt.Sprintf("  %s %s: %s",
				terminal.Escape(v.GetType()), terminal.Escape(v.GetSubject()), terminal.Escape(v.GetDescription())))
		}
	case *errdetails.ErrorInfo:
		out = append(out, "  reason: "+terminal.Escape(d.GetReason()))
		for _, k := range slices.Sorted(maps.Keys(d.GetMetadata())) {
			out = append(out, "  "+terminal.Escape(k)+": "+terminal.Escape(d.GetMetadata()[k]))
		}
	}
	return out
}
