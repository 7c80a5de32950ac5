package channel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultDeadline = 30 * time.Second
	defaultBackoff  = 500 * time.Millisecond
	defaultAttempts = 4
	maxBackoff      = 10 * time.Second
)

var (
	// ErrURL means that an address is not an http or https URL with a host.
	ErrURL = errors.New("the address must be an http or https URL")
	// ErrKind means that a channel is of a kind that is not known.
	ErrKind = errors.New("unknown kind of channel")
)

// Config says where a channel leads to.
type Config struct {
	// Name is that of the procedure document.
	Name string
	// Kind is webhook or Slack-compatible.
	Kind configv1.ChannelAddress_Kind
	// URL is the address, a secret.
	URL string
	// Timeout is how long one attempt may take. Zero: 10 s.
	Timeout time.Duration
	// Deadline is how long all attempts together may take. Zero: 30 s.
	Deadline time.Duration
	// Attempts is how often it is tried at the most. Zero: 4.
	Attempts int
	// Backoff is the pause after the first attempt, doubled after each. Zero: 500 ms.
	Backoff time.Duration
	// Roots are the certificates that a receiver's must be signed by. Nil: those
	// of the system.
	Roots *x509.CertPool
	// Now is the clock of the receipts. Nil: the system's.
	Now func() time.Time
}

// Channel is a way to tell people. It is safe for concurrent use.
type Channel struct {
	name     string
	kind     configv1.ChannelAddress_Kind
	url      string // a secret
	client   *http.Client
	deadline time.Duration
	attempts int
	backoff  time.Duration
	now      func() time.Time
}

var _ notify.Channel = (*Channel)(nil)

// New returns a channel. An error wraps ErrURL or ErrKind and never holds the URL.
func New(config Config) (*Channel, error) {
	if config.Kind != configv1.ChannelAddress_KIND_WEBHOOK && config.Kind != configv1.ChannelAddress_KIND_SLACK {
		return nil, fmt.Errorf("channel %s: %w", config.Name, ErrKind)
	}
	address, err := url.Parse(config.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Hostname() == "" {
		return nil, fmt.Errorf("channel %s: %w", config.Name, ErrURL)
	}
	c := &Channel{
		name:     config.Name,
		kind:     config.Kind,
		url:      config.URL,
		client:   newClient(cmp.Or(config.Timeout, defaultTimeout), config.Roots),
		deadline: cmp.Or(config.Deadline, defaultDeadline),
		attempts: cmp.Or(config.Attempts, defaultAttempts),
		backoff:  cmp.Or(config.Backoff, defaultBackoff),
		now:      config.Now,
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

// Remembers says that the receiver knows keys, so that sending twice is seen once.
func (c *Channel) Remembers() bool { return c.kind == configv1.ChannelAddress_KIND_WEBHOOK }

// String returns the name of the channel, and not where it leads to.
func (c *Channel) String() string { return "channel " + c.name }

// GoString is String.
func (c *Channel) GoString() string { return c.String() }

// LogValue is String.
func (c *Channel) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Send tells the channel, and tries until the notice is delivered, trying again
// is pointless, or the context or the deadline ends. The receipt says what
// happened; it holds no secret. It is certain, unless a request was sent to which no
// answer came.
func (c *Channel) Send(ctx context.Context, key string, body []byte) (receipt *releasev1.Receipt, certain bool) {
	receipt = &releasev1.Receipt{Channel: c.name, Key: key}
	sum := sha256.Sum256(body)
	receipt.BodyDigest = "sha256:" + hex.EncodeToString(sum[:])
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	for {
		receipt.Attempts++
		answer := c.post(ctx, key, body)
		receipt.Delivered, receipt.Response, certain = answer.delivered, answer.text, !answer.ambiguous
		if answer.delivered || !answer.again || c.remembersNothing(answer) {
			break
		}
		if int(receipt.GetAttempts()) >= c.attempts {
			receipt.Response += "; given up"
			break
		}
		if !pause(ctx, c.pauseAfter(receipt.GetAttempts(), answer)) {
			receipt.Response += "; no time was left to try again"
			break
		}
	}
	receipt.Time = timestamppb.New(c.now())
	return receipt, certain
}

// remembersNothing says that a repetition might be shown twice.
func (c *Channel) remembersNothing(a answer) bool { return a.ambiguous && !c.Remembers() }

// pauseAfter returns how long to wait before the next attempt: what the receiver
// asks for, else twice as long each time, give or take a fifth.
func (c *Channel) pauseAfter(attempts uint32, a answer) time.Duration {
	if a.after > 0 {
		return a.after
	}
	wait := min(c.backoff<<min(attempts-1, 16), maxBackoff)
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // Spreads load; nobody gains by guessing it.
}

// pause waits, and says false at once where the context would end before.
func pause(ctx context.Context, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
