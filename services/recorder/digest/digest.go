package digest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

const (
	// every is how often it is looked at what is due.
	every = 30 * time.Second
	// soon is half of how long it waits after the first time that something was in the way.
	soon = 500 * time.Millisecond
	// MaxDays is how many days that are over are told; older ones are skipped.
	MaxDays = 7
	// minPause and maxPause bound how long a mail waits that the relay did not take.
	minPause, maxPause = time.Minute, time.Hour
	// patience is how long mails wait for a document that cannot be read.
	patience = time.Hour
	// inARow is how many mails may fail by the relay's fault one after the other before the
	// others wait. An address that it refuses is none.
	inARow = 3
)

var (
	// ErrBehind says that a day is due and the record does not go past its end yet.
	ErrBehind = errors.New("the record does not go past the end of the day yet")
	// errLater says that mails have to wait.
	errLater = errors.New("mails could not be sent, they are tried again")
)

// Relay takes mails; *mail.Relay is one.
type Relay interface {
	SendPart(ctx context.Context, to []string, letter []byte, before func() error) (mail.Result, error)
	Timeout() time.Duration
}

// Config is what digests are made of, and by.
type Config struct {
	Calendar Calendar
	// Digests keeps what was sent, Reader reads the record.
	Digests *ledger.Digests
	Reader  *ledger.Reader
	// Documents finds procedure documents by digest.
	Documents *policy.Source
	// Stream says where the stream ends that is recorded.
	Stream func(context.Context) (record.End, error)
	Relay  Relay
	// From is the sender's address.
	From string
	// Now is the clock. Nil: the system's.
	Now func() time.Time
	// Metrics takes the metrics; nil for none.
	Metrics prometheus.Registerer
}

// Digest tells people what is on record in their name. Pass and Run are called by one
// goroutine.
type Digest struct {
	calendar  Calendar
	digests   *ledger.Digests
	reader    *ledger.Reader
	documents *policy.Source
	stream    func(context.Context) (record.End, error)
	relay     Relay
	from      string
	now       func() time.Time
	metrics   *metrics

	// pauses are of mails that the relay did not take, relayPause of all of them.
	pauses     map[string]pause
	relayPause pause
	// lists are those of the days that have mails to be sent, by day.
	lists map[string]*list
	// unread are documents that could not be read, by digest.
	unread map[string]*unread
	// said is the last trouble that was logged.
	said string
}

// pause is how long something waits, and until when.
type pause struct {
	until  time.Time
	last   time.Duration
	failed int // how often it had to wait
	// apart says that the relay ended the conversation: it may be an address at which it does,
	// and so each is tried for itself.
	apart bool
}

func (p pause) longer(now time.Time) pause {
	p.last = min(max(2*p.last, minPause), maxPause)
	p.until = now.Add(p.last)
	p.failed++
	return p
}

// over reports whether the pause is over; a clock that was turned back ends it as well.
func (p pause) over(now time.Time) bool { return !now.Before(p.until) || p.until.Sub(now) > maxPause }

// New returns digests; it sends nothing.
func New(c Config) *Digest {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Digest{
		calendar: c.Calendar, digests: c.Digests, reader: c.Reader, documents: c.Documents, stream: c.Stream, relay: c.Relay, from: c.From,
		now: c.Now, metrics: newMetrics(c.Metrics, c.Now), pauses: map[string]pause{}, lists: map[string]*list{}, unread: map[string]*unread{},
	}
}

// Run sends what is due until the context ends. What is in the way is often over soon, and
// so it looks again sooner at first.
func (d *Digest) Run(ctx context.Context) error {
	failed := 0
	for {
		err := d.Pass(ctx)
		d.tell(ctx, err)
		wait := every
		if failed++; err == nil {
			failed = 0
		} else {
			wait = min(soon<<min(failed, 16), every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// tell logs what is in the way, once while it is the same.
func (d *Digest) tell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != d.said && said != "" {
		slog.WarnContext(ctx, "people wait for the mail that tells them what is on record in their name", slog.Any("error", err))
	}
	d.said = said
}

// Pass notes the days that are due, and sends the mails that are. Where another recorder
// is at it, it does nothing. The error says what has to wait; it is tried again by the
// next call.
func (d *Digest) Pass(ctx context.Context) error {
	var open []ledger.DigestMail
	known := false // whether what is open was read
	led, err := d.digests.Lead(ctx, func(ctx context.Context) error {
		newest, behind := d.days(ctx)
		all, err := d.digests.Open(ctx)
		if err != nil {
			return errors.Join(behind, err)
		}
		known = true
		open, err = d.mails(ctx, all, newest)
		return errors.Join(behind, err)
	})
	if !led && err == nil {
		open, err = d.digests.Open(ctx)
		known = err == nil
	}
	if !known {
		return err
	}
	return errors.Join(err, d.observe(ctx, open))
}

// observe takes over what is still open for the metrics.
func (d *Digest) observe(ctx context.Context, open []ledger.DigestMail) error {
	last, ok, err := d.digests.Last(ctx)
	if err != nil || !ok {
		return err
	}
	oldest := last.Day
	if len(open) > 0 {
		oldest = open[0].Day
	}
	day, err := ParseDay(oldest)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		day = day.Add(1)
	}
	d.metrics.waitFor(d.calendar.Due(day))
	return nil
}

// ignoreNoted is nil for what another recorder has noted.
func ignoreNoted(err error) error {
	if errors.Is(err, ledger.ErrNoted) {
		return nil
	}
	return err
}

// timeoutOf is how long after it was begun a mail may still be on its way.
func (d *Digest) timeoutOf() time.Duration { return 2 * cmp.Or(d.relay.Timeout(), minPause) }
