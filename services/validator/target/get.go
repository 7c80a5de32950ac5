package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Bounds of an answer, in bytes. What is larger is not looked at.
const (
	MaxBody   = 1 << 20
	maxHeader = 64 << 10
)

// userAgent is how the validator names itself to the services that it asks.
const userAgent = "shipwarden-validator"

// Answer is what a target answered to one HTTP request.
type Answer struct {
	// URL is where the answer came from in the end.
	URL string
	// Status is the status code.
	Status int
	// Header is the header of the answer, at most 64 KiB.
	Header http.Header
	// Body is the whole body, at most MaxBody bytes.
	Body []byte
}

// Get asks for a path below the base URL over a connection of its own, without
// cookies, proxy or compression. A redirect is followed, within the bounds of the
// package, unless the caller expects a redirect as the answer. The context must have
// a deadline. The errors are ErrPath, ErrNoAnswer and ErrNotSeen; where the context
// was canceled they wrap its error.
func (t *Target) Get(ctx context.Context, path string, follow bool) (Answer, error) {
	u, err := t.URL(path)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotSeen, err)
	}
	pinned, err := t.http.Pin(ctx, t.resolver)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotSeen, err)
	}
	client := pinned.Client(t.secure, maxHeader)
	defer client.CloseIdleConnections()
	client.CheckRedirect = sameOrigin(u.Scheme, t.http)
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrNotSeen, err)
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, explain(ctx, err)
	}
	defer response.Body.Close()
	return readAnswer(ctx, response)
}

// readAnswer reads the body to its end, or to the bound.
func readAnswer(ctx context.Context, response *http.Response) (Answer, error) {
	answer := Answer{URL: response.Request.URL.String(), Status: response.StatusCode, Header: response.Header}
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return answer, fmt.Errorf("%w: the body is encoded as %.40q, which was not asked for", ErrNotSeen, coding)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return answer, fmt.Errorf("%w: the body was cut after %d bytes", ErrNoAnswer, len(body))
	case err != nil:
		return answer, explain(ctx, err)
	case len(body) > MaxBody:
		return answer, fmt.Errorf("%w: the body is larger than %d bytes", ErrNotSeen, MaxBody)
	}
	answer.Body = body
	return answer, nil
}
