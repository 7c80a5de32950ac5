package exit

import (
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
// the result says every field that is wrong in a line of its own, or else the
// server's message, and then the reason. Text of the server is escaped.
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
	fields, reasons := details(s)
	head := c.what + ": " + meaning(s.Code())
	if len(fields) == 0 { // Else the message says the same as they do, in one line.
		head += ": " + terminal.Escape(s.Message())
	}
	return strings.Join(slices.Concat([]string{head}, fields, reasons), "\n")
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

// details returns a line for every field that is wrong, and for every reason.
func details(s *status.Status) (fields, reasons []string) {
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				line := "  "
				if v.GetField() != "" {
					line += terminal.Escape(v.GetField()) + ": "
				}
				fields = append(fields, line+terminal.Escape(v.GetDescription()))
			}
		case *errdetails.ErrorInfo:
			reasons = append(reasons, "  ("+terminal.Escape(d.GetReason())+")")
		}
	}
	return fields, reasons
}
