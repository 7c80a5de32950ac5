package kube

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer bounds the bytes of one answer: a page of objects of which each is as large as a server
// takes it would be some six times as much.
const maxAnswer = 64 << 20

// ErrLong means that an answer is longer than is taken in.
var ErrLong = errors.New("the answer is longer than is taken in")

// bounded takes in answers that are no longer than maxAnswer.
type bounded struct{ through http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.through.RoundTrip(r)
	if err == nil {
		answer.Body = &body{answer.Body, maxAnswer}
	}
	return answer, err
}

// body is that of an answer, of which so much may still be read.
type body struct {
	io.ReadCloser

	left int64
}

// Read implements io.Reader; the error is ErrLong where there is more than may be read.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrLong
	}
	return n, err
}
