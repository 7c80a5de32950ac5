package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// maxAnswer is how many bytes of an answer are read, to be thrown away.
const maxAnswer = 4 << 10

// answer is what became of one attempt.
type answer struct {
	text      string // for the receipt; nothing in it comes from outside
	delivered bool
	again     bool          // it may go better the next time
	ambiguous bool          // nobody can tell whether it arrived
	after     time.Duration // what the receiver asks to wait
}

// newClient returns a client that follows no redirect and keeps no connection:
// notices are rare, and on a connection that is used again net/http may send a
// request with an idempotency key twice of its own accord.
func newClient(timeout time.Duration, roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, ControlContext: checkAddress}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// post makes one attempt.
func (c *Channel) post(ctx context.Context, key string, body []byte) answer {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return answer{text: "the request cannot be made"} // the error holds the URL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("User-Agent", "shipwarden")
	response, err := c.client.Do(request)
	if err != nil {
		return failure(err, sent.Load())
	}
	defer func() {
		// Whatever goes wrong here, the status is known already.
		_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
		_ = response.Body.Close()
	}()
	return c.status(response)
}

// status returns what a status code means.
func (c *Channel) status(response *http.Response) answer {
	code := response.StatusCode
	a := answer{text: fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))}
	switch {
	case code >= 200 && code < 300:
		a.delivered = true
	case code >= 300 && code < 400:
		a.text += "; redirects are not followed"
	case code == http.StatusTooManyRequests || code >= 500:
		a.again = true
		a.after = retryAfter(response.Header.Get("Retry-After"), c.now())
	}
	return a
}

// retryAfter reads seconds or a date; nothing where it is neither, or over.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// failure says in words of our own why there is no answer: the text of the error
// holds the URL, and names and addresses that its owner may not want to be told.
func failure(err error, sent bool) answer {
	a := answer{again: true, ambiguous: sent}
	var (
		dns         *net.DNSError
		network     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, errBlocked):
		return answer{text: "the address is one that must not be reached"}
	case errors.As(err, &certificate):
		return answer{text: "the receiver's certificate is not trusted"}
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return answer{text: "the receiver does not speak TLS"}
	case errors.Is(err, context.Canceled):
		a.text, a.again = "interrupted", false
	case errors.As(err, &dns):
		a.text = "the receiver's name cannot be resolved"
	case errors.As(err, &network) && network.Timeout():
		a.text = "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		a.text = "the receiver refuses connections"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		a.text = "the connection was lost"
	default:
		a.text = "the connection failed"
	}
	if sent {
		a.text += "; nobody can tell whether it arrived"
	}
	return a
}
