package outward

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
)

// Failure is why somebody who was called gave no answer.
type Failure struct {
	// Text says it in words of our own: what the error says holds the address, and names
	// that its owner may not want to be told.
	Text string
	// Again says that it may go better the next time.
	Again bool
	// Ambiguous says that nobody can tell whether what was sent arrived.
	Ambiguous bool
}

// Why returns why there is no answer. Where what was to be said had been sent before that,
// nobody can tell whether it arrived.
func Why(err error, sent bool) Failure {
	f := Failure{Again: true, Ambiguous: sent}
	var (
		dns         *net.DNSError
		network     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, ErrForbidden):
		return Failure{Text: "the address is one that must not be reached"}
	case errors.As(err, &certificate):
		return Failure{Text: "the receiver's certificate is not trusted"}
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return Failure{Text: "the receiver does not speak TLS"}
	case errors.Is(err, context.Canceled):
		f.Text, f.Again = "interrupted", false
	case errors.As(err, &dns):
		f.Text = "the receiver's name cannot be resolved"
	case errors.As(err, &network) && network.Timeout():
		f.Text = "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Text = "the receiver refuses connections"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		f.Text = "the connection was lost"
	default:
		f.Text = "the connection failed"
	}
	if sent {
		f.Text += "; nobody can tell whether it arrived"
	}
	return f
}
