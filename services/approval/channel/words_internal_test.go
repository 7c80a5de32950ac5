package channel

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/outward"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "1e9": 0, "99999999999999999999": 0,
		"Tue, 01 Dec 2026 12:00:30 GMT": 30 * time.Second, "Tue, 01 Dec 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestPauseDoublesUpToABound(t *testing.T) {
	c := &Channel{backoff: time.Second}
	for attempts, want := range map[uint32]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 10: maxBackoff, 1000: maxBackoff} {
		got := c.pauseAfter(attempts, answer{})
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("after %d attempts: %v, want about %v", attempts, got, want)
		}
	}
}

func TestFailureUsesWordsOfItsOwn(t *testing.T) {
	const secret = "https://hooks.example/T0PS3CRET"
	for _, test := range []struct {
		name  string
		cause error
		sent  bool
		want  answer
	}{
		{"no such name", &net.DNSError{Err: "no such host", Name: "hooks.example"}, false, answer{text: "the receiver's name cannot be resolved", again: true}},
		{"something else", errors.New("talking to " + secret), false, answer{text: "the connection failed", again: true}},
		{"something else, later", errors.New("talking to " + secret), true, answer{text: "the connection failed; nobody can tell whether it arrived", again: true, ambiguous: true}},
		{"blocked", fmt.Errorf("dial: %w", outward.ErrForbidden), false, answer{text: "the address is one that must not be reached"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := failure(&url.Error{Op: "Post", URL: secret, Err: test.cause}, test.sent)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if strings.Contains(got.text, "hooks") {
				t.Errorf("the address is told: %s", got.text)
			}
		})
	}
}
