package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxHistory bounds the messages of one aggregate that Load reads. A release has
// some twenty; more than this is an attack or a loop.
const MaxHistory = 2000

// History is what the stream holds of one aggregate.
type History struct {
	// Aggregate such as "rel.shop-k7q2m3xw5d8ta4bc".
	Aggregate string
	// Entries are the authentic events in stream order. They are shared: neither
	// they nor their events may be changed.
	Entries []procedure.Entry
	// Invalid are the messages under the aggregate's subjects that are not
	// authentic events of it. They do not count, and are on record.
	Invalid []Invalid
	// Last is the sequence of the last message, authentic or not; 0 for none. It is
	// what the next draft must expect.
	Last uint64
}

// Invalid is a message that is not an authentic event.
type Invalid struct {
	Sequence uint64
	Subject  string
	Reason   error
}

// Load reads the aggregate's history from the stream's leader. What was read
// before is kept, so that only what is new is read. Messages that are not
// authentic are reported and never make Load fail. Errors wrap ErrUnavailable,
// ErrTooLong, envelope.ErrSubject or the context's error.
func (s *Store) Load(ctx context.Context, aggregate string) (History, error) {
	if err := envelope.CheckAggregate(aggregate); err != nil {
		return History{}, fmt.Errorf("load: %w", err)
	}
	h, err := s.cache.take(ctx, aggregate)
	if err != nil {
		return History{}, fmt.Errorf("load %s: %w", aggregate, err)
	}
	defer s.cache.give(h)
	if err := s.readOn(ctx, h); err != nil {
		return History{}, fmt.Errorf("load %s: %w", aggregate, err)
	}
	return h.shared(), nil
}

// shared is the history as others see it, without spare capacity: a caller that
// appends does not write into ours.
func (h *history) shared() History {
	return History{
		Aggregate: h.aggregate,
		Entries:   h.entries[:len(h.entries):len(h.entries)],
		Invalid:   h.invalid[:len(h.invalid):len(h.invalid)],
		Last:      h.last,
	}
}

// Known returns what is kept of the aggregate's history, as some Load found it, and
// whether anything is kept. Others may have written since: it is good for finding that
// there is nothing to do, and for nothing else.
func (s *Store) Known(aggregate string) (History, bool) {
	h := s.cache.peek(aggregate)
	if h == nil {
		return History{}, false
	}
	defer s.cache.give(h)
	return h.shared(), h.last > 0
}

// readOn reads the messages that came after those that are known. Where the history
// ends is asked first: the server finds the last message of an aggregate at once, but
// that there is none behind a sequence only by looking at all that came since, during
// which nobody else can read or write.
func (s *Store) readOn(ctx context.Context, h *history) error {
	filter := Filter(h.aggregate)
	end, err := s.last(ctx, filter)
	if errors.Is(err, errNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	for h.last < end.sequence {
		m, err := s.next(ctx, filter, h.last+1)
		if errors.Is(err, errNoMessage) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(h.entries)+len(h.invalid) >= MaxHistory {
			return fmt.Errorf("more than %d messages: %w", MaxHistory, ErrTooLong)
		}
		entry, err := s.open(m)
		if err != nil {
			h.invalid = append(h.invalid, Invalid{Sequence: m.sequence, Subject: m.subject, Reason: err})
			s.metrics.rejected.WithLabelValues(envelope.Reason(err)).Inc()
			slog.WarnContext(ctx, "a message in the record does not count",
				slog.Uint64("sequence", m.sequence), slog.String("subject", m.subject), slog.Any("error", err))
		} else {
			h.entries = append(h.entries, entry)
		}
		h.last = m.sequence
	}
	return nil
}

// Last returns the newest event that counts of an aggregate whose events carry its
// whole state (tgt., svc. and pol.), and whether there is one. Events count in a
// chain, each naming the one before: a copy of an old event, authentic as it is, is
// none of them, or whoever could store a message twice could give a lock away. The
// sequence of the event is what the next draft expects; messages that do not count
// and came later are no hindrance to Append. Errors are those of Load, without
// ErrTooLong.
func (s *Store) Last(ctx context.Context, aggregate string) (procedure.Entry, bool, error) {
	if err := envelope.CheckAggregate(aggregate); err != nil {
		return procedure.Entry{}, false, fmt.Errorf("read last: %w", err)
	}
	m, err := s.last(ctx, Filter(aggregate))
	if errors.Is(err, errNoMessage) {
		return procedure.Entry{}, false, nil
	}
	if err != nil {
		return procedure.Entry{}, false, fmt.Errorf("read last of %s: %w", aggregate, err)
	}
	var from *releasev1.Previous // nil is the beginning
	if entry, err := s.open(m); err == nil {
		from = entry.Event.GetPrevious()
	} else {
		s.metrics.rejected.WithLabelValues(envelope.Reason(err)).Inc()
		slog.WarnContext(ctx, "the last message of an aggregate does not count",
			slog.Uint64("sequence", m.sequence), slog.String("subject", m.subject), slog.Any("error", err))
	}
	entry, found, err := s.follow(ctx, aggregate, from, m.sequence)
	if err != nil {
		return procedure.Entry{}, false, fmt.Errorf("read last of %s: %w", aggregate, err)
	}
	return entry, found, nil
}

// follow walks the chain of events that begins after one of them, up to a sequence,
// and returns where it ends. It is one step long where the last message counts, and
// slow only where others lie on top: the server can not search backwards.
func (s *Store) follow(ctx context.Context, aggregate string, from *releasev1.Previous, until uint64) (procedure.Entry, bool, error) {
	var newest procedure.Entry
	found := false
	for seq := from.GetSequence() + 1; seq <= until; {
		m, err := s.next(ctx, Filter(aggregate), seq)
		if errors.Is(err, errNoMessage) {
			break
		}
		if err != nil {
			return procedure.Entry{}, false, err
		}
		if entry, err := s.open(m); err == nil && sameHead(entry.Event.GetPrevious(), from) {
			newest, found = entry, true
			from = procedure.Head{Sequence: entry.Sequence, Digest: entry.Digest}.Previous()
		}
		seq = m.sequence + 1
	}
	return newest, found, nil
}

// sameHead reports whether two events follow the same one.
func sameHead(a, b *releasev1.Previous) bool {
	return a.GetSequence() == b.GetSequence() && slices.Equal(a.GetSha256(), b.GetSha256())
}
