package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

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
	// State is what the entries of a release fold to; of other aggregates it is empty.
	// It is shared as the entries are: Evolve may be asked about it, and nothing in it
	// may be changed.
	State procedure.State
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
	return s.share(ctx, h), nil
}

// LoadCounted is Load for whoever acts on the world by what is read. It asks the server
// also how many messages the aggregate has, and reads them all, one after the other,
// where Load found another number.
//
// Load relies on the conditions on which messages were stored, and the leader of a
// cluster does not see through those of all writers at once: a message that is stored
// without a condition at the same moment can come before one whose condition says that
// there is none. Nobody writes so who follows the protocol; somebody who can, and who
// holds a service's key, could make two readers see two histories. What is decided by
// the shorter one alone is harmless, because the event that says so does not count in
// the longer one. What is done in the world counts at once.
func (s *Store) LoadCounted(ctx context.Context, aggregate string) (History, error) {
	for range countAttempts {
		h, err := s.Load(ctx, aggregate)
		if err != nil {
			return History{}, err
		}
		n, err := s.count(ctx, aggregate)
		if err != nil {
			return History{}, fmt.Errorf("count %s: %w", aggregate, err)
		}
		if n == len(h.Entries)+len(h.Invalid) {
			return h, nil
		}
	}
	s.cache.forget(aggregate)
	h, err := s.cache.take(ctx, aggregate)
	if err != nil {
		return History{}, fmt.Errorf("load %s: %w", aggregate, err)
	}
	defer s.cache.give(h)
	end, err := s.last(ctx, Filter(aggregate))
	if err == nil {
		err = s.readForward(ctx, h, end.sequence)
	}
	if err != nil && !errors.Is(err, errNoMessage) {
		return History{}, fmt.Errorf("load %s: %w", aggregate, err)
	}
	return s.share(ctx, h), nil
}

// countAttempts is how often a history that others write to is counted again, before
// the difference is taken for one that stays.
const countAttempts = 3

// share returns the history as others see it, without spare capacity: a caller that
// appends does not write into ours. An authentic event that does not count in it is told
// to operators once: most have lost a race, but a claim that nobody allowed is an alarm.
func (s *Store) share(ctx context.Context, h *history) History {
	if release, ok := strings.CutPrefix(h.aggregate, procedure.Aggregate("")); ok {
		h.state.Release = release
		for _, e := range h.entries[h.folded:] {
			next, err := procedure.Evolve(h.state, e)
			if err != nil {
				s.metrics.uncounted.WithLabelValues(procedure.TypeOf(e.Event)).Inc()
				slog.WarnContext(ctx, "an event does not count", slog.String("release", release),
					slog.Uint64("sequence", e.Sequence), slog.String("event", procedure.TypeOf(e.Event)), slog.Any("error", err))
				continue
			}
			h.state = next
		}
		h.folded = len(h.entries)
	}
	return History{
		Aggregate: h.aggregate,
		Entries:   h.entries[:len(h.entries):len(h.entries)],
		Invalid:   h.invalid[:len(h.invalid):len(h.invalid)],
		Last:      h.last,
		State:     h.state,
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
	return s.share(context.Background(), h), h.last > 0
}

// readOn reads the messages that came after those that are known. Where the history
// ends is asked first, and from there it is traced back to what is known.
func (s *Store) readOn(ctx context.Context, h *history) error {
	end, err := s.last(ctx, Filter(h.aggregate))
	switch {
	case errors.Is(err, errNoMessage):
		return nil
	case err != nil:
		return err
	case end.sequence <= h.last:
		return nil
	}
	messages, found, err := s.trace(ctx, h.aggregate, h.last, end)
	if err != nil {
		return err
	}
	if !found {
		return s.readForward(ctx, h, end.sequence)
	}
	for _, m := range messages {
		if err := s.add(ctx, h, m); err != nil {
			return err
		}
	}
	return nil
}

// readForward reads one message after the other, which misses none, however it was
// stored. The server looks for each at all that came since the one before.
func (s *Store) readForward(ctx context.Context, h *history, until uint64) error {
	for h.last < until {
		m, err := s.next(ctx, Filter(h.aggregate), h.last+1)
		if errors.Is(err, errNoMessage) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.add(ctx, h, m); err != nil {
			return err
		}
	}
	return nil
}

// add puts a message behind those that are known.
func (s *Store) add(ctx context.Context, h *history, m stored) error {
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
		if before, known := m.follows(aggregate); known && before == from.GetSequence() {
			return entry, true, nil // There is nothing between it and the one that it follows.
		}
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

// Tail returns the newest events that count of an aggregate of which Last tells, in stream
// order, back to the first one that enough takes, or to the beginning. It costs as much as it
// returns, whatever came before. Each event names the one before it with its digest, so that
// what lies between them and does not count is not seen. Errors are those of Load; ErrTooLong
// where MaxHistory events were not enough.
func (s *Store) Tail(ctx context.Context, aggregate string, enough func(procedure.Entry) bool) ([]procedure.Entry, error) {
	e, found, err := s.Last(ctx, aggregate)
	if err != nil || !found {
		return nil, err
	}
	for out := []procedure.Entry{e}; ; out = append(out, e) {
		before := e.Event.GetPrevious()
		if enough(e) || before.GetSequence() == 0 {
			slices.Reverse(out)
			return out, nil
		}
		if len(out) >= MaxHistory {
			return nil, fmt.Errorf("read the end of %s: more than %d messages: %w", aggregate, MaxHistory, ErrTooLong)
		}
		m, err := s.at(ctx, before.GetSequence())
		if err != nil {
			return nil, fmt.Errorf("read the end of %s: message %d: %w", aggregate, before.GetSequence(), err)
		}
		if e, err = s.open(m); err != nil {
			return nil, fmt.Errorf("read the end of %s: message %d: %w", aggregate, m.sequence, err)
		}
		if !strings.HasPrefix(m.subject, aggregate+".") || !slices.Equal(e.Digest[:], before.GetSha256()) {
			return nil, fmt.Errorf("read the end of %s: message %d is not the one that is named: %w", aggregate, m.sequence, errNoMessage)
		}
	}
}

// follow walks the chain of events that begins after one of them, up to a sequence,
// and returns where it ends. It is needed only where messages lie around that were stored
// without a condition.
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
