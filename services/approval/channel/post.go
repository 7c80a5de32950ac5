package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// maxAnswer is how many bytes of an answer are read, to be thrown away.
const maxAnswer = 4 << 10

// web is the wire of receivers that are spoken to by HTTP.
type web struct {
	kind    kind
	address *url.URL // a secret
	client  *http.Client
	dress   dress // holds secrets
	now     func() time.Time
}

func (w *web) body(m notify.Message) ([]byte, error) { return w.kind.write(m) }

func (w *web) remembers() bool { return w.kind.remembers }

// attempt makes the requests for a body one after the other; what one of them meets
// with is said of all. Only receivers that know keys are sent several.
func (w *web) attempt(ctx context.Context, key string, body []byte) answer {
	all, err := w.dress(w.now(), key, w.address, body)
	if err != nil {
		return answer{text: "the request cannot be made"} // the error may hold a secret
	}
	a := answer{text: "there is nothing to say", delivered: true}
	for _, each := range all {
		if a = w.post(ctx, key, each); !a.delivered {
			return a
		}
	}
	return a
}

// newClient returns a client that follows no redirect and keeps no connection:
// notices are rare, and on a connection that is used again net/http may send a
// request with an idempotency key twice of its own accord.
func newClient(timeout time.Duration, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            outward.DialContext(timeout),
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// post makes one attempt.
func (w *web) post(ctx context.Context, key string, out outgoing) answer {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, out.url, bytes.NewReader(out.body))
	if err != nil {
		return answer{text: "the request cannot be made"} // the error holds the URL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("User-Agent", "shipwarden")
	for name, values := range out.header {
		request.Header[name] = values
	}
	response, err := w.client.Do(request)
	if err != nil {
		return failure(err, sent.Load())
	}
	defer func() {
		// Whatever goes wrong here, the status is known already.
		_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
		_ = response.Body.Close()
	}()
	return w.status(response)
}

// status returns what a status code means.
func (w *web) status(response *http.Response) answer {
	code := response.StatusCode
	a := answer{text: fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))}
	switch {
	case code >= 200 && code < 300:
		a.delivered = true
	case code >= 300 && code < 400:
		a.text += "; redirects are not followed"
	case code == http.StatusTooManyRequests || code >= 500:
		a.again = true
		a.after = retryAfter(response.Header.Get("Retry-After"), w.now())
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
	why := outward.Why(err, sent)
	return answer{text: why.Text, again: why.Again, ambiguous: why.Ambiguous}
}
