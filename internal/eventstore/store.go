package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
)

// DefaultCacheEntries bounds the events that a store keeps in memory.
const DefaultCacheEntries = 16384

// Store reads and writes the stream REL for one service. It is safe for
// concurrent use, and one store is meant to be shared by all steps of a process:
// it gathers their appends. It has nothing to be closed.
type Store struct {
	conn *nats.Conn
	js   jetstream.JetStream
	// getSubject and infoSubject are where the leader of REL is asked.
	getSubject, infoSubject string

	ring     *envelope.Keyring
	signer   *envelope.Signer
	now      func() time.Time
	cache    *cache
	verified *verified
	gather   gatherer
	metrics  *metrics
}

// Option changes how a store works.
type Option func(*options)

type options struct {
	registerer   prometheus.Registerer
	cacheEntries int
	atRest       func()
}

// WithMetrics registers the store's metrics there. Several stores may share one
// registerer and then count together.
func WithMetrics(r prometheus.Registerer) Option { return func(o *options) { o.registerer = r } }

// WithCacheEntries bounds the events kept in memory.
func WithCacheEntries(n int) Option { return func(o *options) { o.cacheEntries = n } }

// WithRest has the function called when nothing has been read for a while and nothing
// that was read is kept any more.
func WithRest(f func()) Option { return func(o *options) { o.atRest = f } }

// New returns a store over an existing stream REL. Without a signer it only
// reads. The function now gives the time that events are stamped with.
func New(js jetstream.JetStream, ring *envelope.Keyring, signer *envelope.Signer, now func() time.Time, opts ...Option) *Store {
	set := options{cacheEntries: DefaultCacheEntries}
	for _, opt := range opts {
		opt(&set)
	}
	s := &Store{
		conn: js.Conn(), js: js, ring: ring, signer: signer, now: now,
		getSubject:  apiPrefix(js) + "STREAM.MSG.GET." + StreamEvents,
		infoSubject: apiPrefix(js) + "STREAM.INFO." + StreamEvents,
		cache:       newCache(set.cacheEntries),
		verified:    newVerified(),
		metrics:     newMetrics(set.registerer),
	}
	s.cache.emptied = func() {
		s.verified.clear()
		if set.atRest != nil {
			set.atRest()
		}
	}
	s.gather.publish = s.publish
	s.gather.settle = s.settle
	s.gather.inspect = s.inspect
	return s
}

// apiPrefix is where requests to the server go, also through an account's import.
func apiPrefix(js jetstream.JetStream) string {
	opts := js.Options()
	switch {
	case opts.APIPrefix != "":
		return opts.APIPrefix + "."
	case opts.Domain != "":
		return "$JS." + opts.Domain + ".API."
	default:
		return jetstream.DefaultAPIPrefix
	}
}

// Epoch names this stream's life. Sequences of two epochs say nothing about each
// other, so a fence is an epoch and a sequence. It is asked for anew each time:
// the stream may have been restored.
func (s *Store) Epoch(ctx context.Context) (string, error) {
	stream, err := retried(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.Stream(ctx, StreamEvents) })
	if err != nil {
		return "", fmt.Errorf("read epoch: %w", err)
	}
	epoch := stream.CachedInfo().Config.Metadata[epochKey]
	if epoch == "" {
		return "", fmt.Errorf("read epoch: %w", ErrNoEpoch)
	}
	return epoch, nil
}

// Clock is what the clock of the stream's server shows, by which events are stored. It is
// asked for anew each time.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	stream, err := retried(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.Stream(ctx, StreamEvents) })
	if err != nil {
		return time.Time{}, fmt.Errorf("read the server's clock: %w", err)
	}
	return stream.CachedInfo().TimeStamp, nil
}

// Open verifies a message that a consumer of REL delivered. The event is shared with
// those of histories, and must not be changed.
func (s *Store) Open(subject string, header nats.Header, data []byte, sequence uint64, stored time.Time) (procedure.Entry, error) {
	return s.open(message(subject, header, data, sequence, stored))
}

func message(subject string, header nats.Header, data []byte, sequence uint64, at time.Time) stored {
	return stored{subject: subject, header: header, data: data, sequence: sequence, time: at}
}
