package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Bounds of an answer, in bytes, and how far the source's clock may be from ours.
const (
	MaxBody   = 1 << 20
	maxHeader = 64 << 10
	maxApart  = 30 * time.Second
	maxSaid   = 256
)

// ErrAnswer means that a source gave no answer that counts; the text says why, without any
// secret.
var ErrAnswer = errors.New("no answer from the source")

// Question is what a source is asked.
type Question struct {
	Query string
	// At is the time of which it is asked, or the last one; whole milliseconds of it count.
	At time.Time
	// Over is how far back values are asked for, each a Step from the next, the last one
	// being that of At. Zero asks for that of At alone.
	Over, Step time.Duration
}

// span reports whether values of a span are asked for.
func (q Question) span() bool { return q.Over > 0 && q.Step > 0 }

// times are the first and the last time of which values are asked for.
func (q Question) times() (first, last time.Time) {
	last = q.At.Truncate(time.Millisecond)
	if !q.span() {
		return last, last
	}
	return last.Add(-q.Over.Truncate(q.Step)), last
}

// form is the question as it is sent, with how much time is left for it.
func (q Question) form(left time.Duration) (path string, form url.Values) {
	first, last := q.times()
	form = url.Values{"query": {q.Query}, "timeout": {strconv.FormatInt(max(left.Milliseconds(), 1), 10) + "ms"}}
	if !q.span() {
		form.Set("time", stamp(last))
		return "/api/v1/query", form
	}
	form.Set("start", stamp(first))
	form.Set("end", stamp(last))
	form.Set("step", strconv.FormatFloat(q.Step.Seconds(), 'f', -1, 64))
	return "/api/v1/query_range", form
}

// request is the question as it is sent to a source.
func (s *Source) request(ctx context.Context, q Question, left time.Duration) (*http.Request, error) {
	if s.logs {
		// Of its API only this way to ask is documented, the time in nanoseconds.
		form := url.Values{"query": {q.Query}, "time": {strconv.FormatInt(q.At.Truncate(time.Millisecond).UnixNano(), 10)}}
		return http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/loki/api/v1/query?"+form.Encode(), http.NoBody)
	}
	path, form := q.form(left)
	return http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+path, strings.NewReader(form.Encode()))
}

// stamp is a time as the API takes it: seconds, to the millisecond.
func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// Ask asks once, over a connection of its own. The context must have a deadline. Errors
// wrap ErrAnswer; where the context was canceled they wrap its error as well.
func (s *Source) Ask(ctx context.Context, q Question) ([]Series, error) {
	headers := make(http.Header)
	var secrets []string
	for _, h := range s.headers {
		value, err := h.read()
		if err != nil {
			return nil, fmt.Errorf("%w: the header %s cannot be sent: %w", ErrAnswer, h.name, err)
		}
		headers.Set(h.name, value)
		if h.file != "" {
			secrets = append(secrets, value, strings.TrimPrefix(value, h.prefix))
		}
	}
	found, err := s.ask(ctx, q, headers)
	if err != nil {
		return nil, hide(err, secrets)
	}
	return found, nil
}

// hidden is an error that has secrets in its text, without them.
type hidden struct {
	error
	text string
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.error }

// leastHidden is how many bytes of a secret are hidden where the text is cut after them; fewer
// may be a part of any word.
const leastHidden = 4

// hide takes secrets out of what an error says: a source may repeat whatever it was told. An
// error has only so much of that, so their beginnings are taken out as well, as they are and
// as they are quoted.
func hide(err error, secrets []string) error {
	text := err.Error()
	for _, secret := range secrets {
		quoted := strconv.Quote(secret)
		for _, written := range []string{secret, quoted[1 : len(quoted)-1]} {
			for n := min(len(written), len(text)); n >= min(leastHidden, len(written)) && n > 0; n-- {
				text = strings.ReplaceAll(text, written[:n], "…")
			}
		}
	}
	if text == err.Error() {
		return err
	}
	return hidden{err, text}
}

func (s *Source) ask(ctx context.Context, q Question, headers http.Header) ([]Series, error) {
	pinned, err := s.address.Pin(ctx, s.resolver)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	client := pinned.Client(s.secure, maxHeader)
	defer client.CloseIdleConnections()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	left := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	request, err := s.request(ctx, q, left)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	request.Header = headers
	if request.Method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "shipwarden-validator")
	before := s.now()
	response, err := client.Do(request)
	if err != nil {
		return nil, explain(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := read(ctx, response)
	switch {
	case response.StatusCode == http.StatusBadRequest && s.logs && err != nil:
		// What is wrong with a query it says in plain text.
		said, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid))
		return nil, fmt.Errorf("%w: status 400: %s", ErrAnswer, strings.TrimSpace(string(said)))
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %s", ErrAnswer, refusal(response, body, err))
	case err != nil:
		return nil, err
	}
	if err := timely(response.Header.Get("Date"), before, s.now()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	found, err := parse(body, q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return found, nil
}

// read reads the body to its end, or to the bound, where it is JSON.
func read(ctx context.Context, response *http.Response) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, fmt.Errorf("%w: it is of the type %.60q, not JSON", ErrAnswer, response.Header.Get("Content-Type"))
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fmt.Errorf("%w: it is encoded as %.40q, which was not asked for", ErrAnswer, coding)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it was cut after %d bytes", ErrAnswer, len(body))
	case err != nil:
		return nil, explain(ctx, err)
	case len(body) > MaxBody:
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrAnswer, MaxBody)
	}
	return body, nil
}

// refusal says what a source answers that does not answer the question. What is wrong with
// the query it says in its own words.
func refusal(response *http.Response, body []byte, unread error) string {
	said := "status " + strconv.Itoa(response.StatusCode)
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return said + ", and a redirect is not followed"
	}
	if unread == nil {
		if kind, text := complaint(body); kind != "" {
			return said + " " + kind + ": " + text
		}
	}
	return said
}

// timely refuses an answer that was given at another time than it is here, because one of
// the clocks is wrong or somebody has kept it: of which time its values are nobody knows.
func timely(date string, before, after time.Time) error {
	at, err := http.ParseTime(date)
	switch {
	case err != nil:
		return errors.New("it does not say when it was given")
	case at.Before(before.Add(-maxApart)), at.After(after.Add(maxApart)):
		return fmt.Errorf("it was given at %s, and here it is %s", at.UTC().Format(time.RFC3339), after.UTC().Format(time.RFC3339))
	}
	return nil
}

// explain says why there is no answer.
func explain(ctx context.Context, err error) error {
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrAnswer, cause)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: not in time", ErrAnswer)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		// Its text repeats the URL, which the evidence names anyway.
		err = outer.Err
	}
	return fmt.Errorf("%w: %w", ErrAnswer, err)
}
