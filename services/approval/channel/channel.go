package channel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/mail"
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
	// ErrURL means that an address is not a URL of the scheme that the kind asks for,
	// with a host.
	ErrURL = errors.New("the address must be an http or https URL")
	// ErrMailURL is ErrURL for mail.
	ErrMailURL = mail.ErrURL
	// ErrKind means that a channel is of a kind that is not known.
	ErrKind = errors.New("unknown kind of channel")
	// ErrSecrets means that a channel has not the secrets that its kind asks for.
	ErrSecrets = errors.New("wrong secrets")
	// ErrMail means that it is not said, or not rightly, who writes mail to whom.
	ErrMail = errors.New("wrong mail")
)

// Config says where a channel leads to.
type Config struct {
	// Name is that of the procedure document.
	Name string
	// Kind says how the receiver is spoken to.
	Kind configv1.ChannelAddress_Kind
	// URL is the address, a secret.
	URL string
	// Secrets is what the kind needs besides.
	Secrets []string
	// Mail says who writes to whom, for mail alone.
	Mail *configv1.Mail
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
	wire     wire
	deadline time.Duration
	attempts int
	backoff  time.Duration
	now      func() time.Time
}

var _ notify.Channel = (*Channel)(nil)

// wire is how receivers of one kind are spoken to. It is safe for concurrent use.
type wire interface {
	// body is what is sent of a message, without secrets: always the same bytes.
	body(m notify.Message) ([]byte, error)
	// attempt sends it once.
	attempt(ctx context.Context, key string, body []byte) answer
	// remembers says that the receiver knows keys.
	remembers() bool
}

// answer is what became of one attempt.
type answer struct {
	text      string // for the receipt; nothing in it comes from outside
	delivered bool
	again     bool          // it may go better the next time
	ambiguous bool          // nobody can tell whether it arrived
	after     time.Duration // what the receiver asks to wait
	reached   []string      // the ids of people whom the receiver took it for
}

// New returns a channel. An error wraps one of the sentinels and never holds the URL
// or a secret.
func New(config Config) (*Channel, error) {
	c := &Channel{
		name:     config.Name,
		deadline: cmp.Or(config.Deadline, defaultDeadline),
		attempts: cmp.Or(config.Attempts, defaultAttempts),
		backoff:  cmp.Or(config.Backoff, defaultBackoff),
		now:      config.Now,
	}
	if c.now == nil {
		c.now = time.Now
	}
	config.Timeout = cmp.Or(config.Timeout, defaultTimeout)
	var err error
	if c.wire, err = newWire(config, c.now); err != nil {
		return nil, err
	}
	return c, nil
}

// Body returns what is sent: for the same message always the same bytes. It holds
// nothing of where the channel leads to.
func (c *Channel) Body(m notify.Message) ([]byte, error) { return c.wire.body(m) }

// Remembers says that the receiver knows keys, so that sending twice is seen once.
func (c *Channel) Remembers() bool { return c.wire.remembers() }

// Personal says that people are reached one by one, as mail does.
func (c *Channel) Personal() bool { _, ok := c.wire.(*post); return ok }

// Alarms says that the receiver keeps what it was told open until it is settled.
func (c *Channel) Alarms() bool { w, ok := c.wire.(*web); return ok && w.kind.alarms }

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
		answer := c.wire.attempt(ctx, key, body)
		receipt.Delivered, receipt.Response, certain = answer.delivered, answer.text, !answer.ambiguous
		receipt.Reached = answer.reached
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
