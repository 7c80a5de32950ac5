// Package deadline is the procedure's clock. Every phase of a release has a
// deadline that follows from its events; this package sets a timer for it, and
// when the timer fires says so in an event, if it is true (N-10, PD-3.1).
//
// A timer is a hint and carries no authority: whoever could forge one would make a
// release be looked at, and nothing more. What decides is the fold: a deadline that
// has not passed by the server's clock changes nothing.
//
//	event ──► set: earlier than the timer that is set? ──► timer.set.<release>.<time>
//	                                                             │ server's scheduler
//	timer.fired.<release>.<time> ──► clock: fold, due? ──► deadline_passed / expired
//	        ▲
//	sweeper: deadlines in the bucket that are long past
//
// One timer is enough for a release: as it goes on, its deadline mostly moves
// later, and a timer that fires too early for it sets the next one. The bucket
// DEADLINES remembers what is set, so that a lost timer is only a delay; and what the
// bucket has lost is found among the open releases of the services, which are on
// record.
package deadline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
)

// behind is how long to wait for the server's clock where it is behind this one.
const behind = 5 * time.Second

var (
	errClock = errors.New("the server's clock is behind")
	errEarly = errors.New("the timer came early")
)

// Clock sets timers and answers them.
type Clock struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	store  *eventstore.Store
	now    func() time.Time
}

// New returns a clock; the streams and the bucket must exist.
func New(ctx context.Context, js jetstream.JetStream, store *eventstore.Store, now func() time.Time) (*Clock, error) {
	bucket, err := js.KeyValue(ctx, eventstore.BucketDeadlines)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", eventstore.BucketDeadlines, err)
	}
	return &Clock{js: js, bucket: bucket, store: store, now: now}, nil
}

// Setter returns the step that sets timers.
func (c *Clock) Setter() reactor.Step {
	return reactor.Step{ID: procedure.StepDeadline, Act: func(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
		return nil, c.set(ctx, t.State, time.Time{})
	}}
}

// set makes sure that a timer fires no later than the state's next deadline. Timers up
// to fired are gone, whatever the bucket says and this machine's clock.
func (c *Clock) set(ctx context.Context, s procedure.State, fired time.Time) error {
	next, ok := procedure.NextDeadline(s)
	if !ok {
		return c.forget(ctx, s.Release)
	}
	armed, revision, err := c.armed(ctx, s.Release)
	if err != nil {
		return err
	}
	if !armed.IsZero() && !armed.After(next.At) && armed.After(c.now()) && armed.After(fired) {
		return nil
	}
	if err := c.schedule(ctx, s.Release, next.At); err != nil {
		return err
	}
	if err := failpoint.Hit("deadline.scheduled"); err != nil {
		return err
	}
	if err := c.remember(ctx, s.Release, next.At, revision); err != nil {
		return err
	}
	return failpoint.Hit("deadline.remembered")
}

// remember keeps the timer in the bucket, unless somebody else remembered an earlier
// one meanwhile, which is set as well and sets this one again.
func (c *Clock) remember(ctx context.Context, release string, at time.Time, revision uint64) error {
	value := []byte(strconv.FormatInt(at.UnixNano(), 10))
	for {
		var err error
		if revision == 0 {
			_, err = c.bucket.Create(ctx, release, value)
		} else {
			_, err = c.bucket.Update(ctx, release, value, revision)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !wrongRevision(err) {
			return fmt.Errorf("remember the timer of %s: %w", release, err)
		}
		var other time.Time
		if other, revision, err = c.armed(ctx, release); err != nil {
			return err
		}
		if !other.IsZero() && !other.After(at) && other.After(c.now()) {
			return nil
		}
	}
}

func wrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func (c *Clock) armed(ctx context.Context, release string) (time.Time, uint64, error) {
	e, err := c.bucket.Get(ctx, release)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return time.Time{}, 0, nil
	}
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("read the timer of %s: %w", release, err)
	}
	at, ok := parseTime(string(e.Value()))
	if !ok {
		return time.Time{}, e.Revision(), nil
	}
	return at, e.Revision(), nil
}

func (c *Clock) forget(ctx context.Context, release string) error {
	if _, err := c.bucket.Get(ctx, release); errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err := c.bucket.Purge(ctx, release); err != nil {
		return fmt.Errorf("forget the timer of %s: %w", release, err)
	}
	return nil
}

// schedule sets the server's timer. The time goes into the header with all of its
// nanoseconds: rounded to seconds, as the client library would, a timer fires up to
// a second early.
func (c *Clock) schedule(ctx context.Context, release string, at time.Time) error {
	stamp := strconv.FormatInt(at.UnixNano(), 10)
	if !at.After(c.now()) {
		_, err := c.js.PublishMsg(ctx, nats.NewMsg(firedSubject(release, stamp)))
		if err != nil {
			return fmt.Errorf("fire the timer of %s: %w", release, err)
		}
		return nil
	}
	m := nats.NewMsg("timer.set." + release + "." + stamp)
	m.Header.Set("Nats-Schedule", "@at "+at.UTC().Format(time.RFC3339Nano))
	m.Header.Set("Nats-Schedule-Target", firedSubject(release, stamp))
	m.Header.Set("Nats-Schedule-TTL", "720h")
	if _, err := c.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("set the timer of %s: %w", release, err)
	}
	return nil
}

func firedSubject(release, stamp string) string { return "timer.fired." + release + "." + stamp }

func parseTime(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, n).UTC(), true
}

// Fired answers one fired timer: it appends what happens because the deadline has
// passed, and sets the next timer. A timer that came early changes nothing: it comes
// again when this machine's clock, which is behind the server's then, says so too.
func (c *Clock) Fired(ctx context.Context, subject string) error {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || !procedure.ValidRelease(parts[2]) {
		return fmt.Errorf("%w: timer subject %q", reactor.ErrUnprocessable, subject)
	}
	fired, _ := parseTime(parts[3]) // What is no time is earlier than every timer.
	return c.look(ctx, parts[2], fired)
}

// look folds the release and does what its clock demands now. Timers up to fired are
// gone.
func (c *Clock) look(ctx context.Context, release string, fired time.Time) error {
	var appended procedure.Head // after which something was appended
	for {
		h, err := c.store.Load(ctx, procedure.Aggregate(release))
		if err != nil {
			return err
		}
		state, _ := procedure.Fold(release, h.Entries)
		now := c.now()
		event := procedure.DecideDeadline(state, now)
		if event == nil {
			if next, ok := procedure.NextDeadline(state); ok && !next.At.After(fired) {
				return reactor.RetryAfter(min(next.At.Sub(now), behind), fmt.Errorf("%w: release %s", errEarly, release))
			}
			return c.set(ctx, state, fired)
		}
		if state.Head == appended {
			// What was appended did not count: the server's clock, which decides, is
			// behind ours. Saying it again at once would only fill the history.
			return reactor.RetryAfter(behind, fmt.Errorf("%w: release %s", errClock, release))
		}
		_, err = c.store.Append(ctx, reactor.Task{State: state, History: h, Now: now}.Draft(event))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return err
		}
		appended = state.Head
		slog.InfoContext(ctx, "a deadline passed", slog.String("release", release), slog.String("phase", state.Phase.String()))
	}
}
