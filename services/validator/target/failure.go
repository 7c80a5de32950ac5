package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// explain says whose fault it is that a look had no answer. What is not known to
// speak against the target says nothing about it.
func explain(ctx context.Context, err error) error {
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrNotSeen, cause)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		// Its text repeats the URL, which the sample names anyway.
		err = outer.Err
	}
	if fault := targetsFault(err); fault != "" {
		return fmt.Errorf("%w: %s", ErrNoAnswer, fault)
	}
	return fmt.Errorf("%w: %w", ErrNotSeen, err)
}

// targetsFault names what the target did wrong, or "" where that cannot be said.
func targetsFault(err error) string {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		timeout     net.Error
		remote      *net.OpError
	)
	switch {
	case errors.Is(err, dial.ErrForbidden), errors.Is(err, dial.ErrUnresolved), errors.Is(err, errRedirect):
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer was complete"
	case errors.As(err, &certificate):
		return "certificate not accepted: " + certificate.Err.Error()
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "no TLS where TLS is expected"
	case errors.As(err, &alert):
		return "TLS handshake refused: " + alert.Error()
	case errors.As(err, &remote) && remote.Op == "remote error":
		// So an alert of the other side comes over TCP.
		return "TLS handshake refused: " + remote.Err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "deadline exceeded"
	case errors.Is(err, syscall.ETIMEDOUT), errors.As(err, &timeout) && timeout.Timeout():
		return "connection timed out"
	case strings.Contains(err.Error(), "malformed HTTP"):
		// The standard library has no value for it.
		return "the answer is not HTTP"
	}
	return ""
}
