package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// verdict is what the stream shows about a group that may have been stored.
type verdict int

const (
	// absent: nothing came after what the writer saw. The same bytes may be sent.
	absent verdict = iota
	// present: the group is stored.
	present
	// overtaken: somebody else wrote, so the group can never be stored.
	overtaken
	// torn: one part shows and another does not. A batch is stored as a whole, so
	// this was read while it was being done, or from a leader that was deposed.
	torn
)

// regressedAfter is how many times the server may insist on a wrong sequence while
// nothing new is found, before the writer's knowledge is held to be of events that
// are no longer there.
const regressedAfter = 5

// settle brings a group to its end after a publish that did not end well: it reads
// before it does anything, and never takes the server's no for an answer.
func (s *Store) settle(g *group, cause error) result {
	ctx := g.ctx
	for attempt := 0; ; attempt++ {
		found, sequences, err := s.inspect(ctx, g)
		switch {
		case err != nil:
			return result{err: fmt.Errorf("%w: %w: after %w", ErrUndecided, err, cause)}
		case found == present:
			return result{sequences: sequences}
		case found == overtaken:
			return result{err: ErrSequenceConflict}
		case found == absent && refused(cause):
			return result{err: fmt.Errorf("%w: %w", ErrRefused, cause)}
		case found == absent && attempt >= regressedAfter && wrongSequence(cause):
			for _, item := range g.items {
				s.cache.forget(item.aggregate)
			}
			return result{err: fmt.Errorf("%w: expected sequence is not there", ErrSequenceConflict)}
		}
		if err := pause(ctx, attempt); err != nil {
			return result{err: fmt.Errorf("%w: %w: after %w", ErrUndecided, err, cause)}
		}
		if found == torn {
			continue
		}
		first, err := s.attempt(ctx, g)
		if err == nil {
			return result{sequences: consecutive(first, len(g.items))}
		}
		cause = err
	}
}

func (s *Store) attempt(ctx context.Context, g *group) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return s.publish(ctx, g)
}

func wrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeWrongSequence
}

// inspect reads every aggregate of the group from where the writer saw it end.
func (s *Store) inspect(ctx context.Context, g *group) (verdict, []uint64, error) {
	sequences := make([]uint64, len(g.items))
	stored := 0
	lost := false
	for i := range g.items {
		found, sequence, err := s.look(ctx, &g.items[i])
		if err != nil {
			return absent, nil, err
		}
		switch found {
		case present:
			sequences[i] = sequence
			stored++
		case overtaken:
			lost = true
		case absent, torn:
		}
	}
	switch {
	case stored == len(g.items):
		return present, sequences, nil
	case stored > 0:
		return torn, nil, nil
	case lost:
		return overtaken, nil, nil
	default:
		return absent, nil, nil
	}
}

// look searches one aggregate for the draft's own bytes. An event of somebody else
// that follows the same one ends the search: the condition then can not have held.
// A message that is not authentic does not count, here as anywhere, and neither
// does a copy of an older event, which follows another one; the next attempt
// expects it as the last one, or whoever wrote it could stop the release with it.
func (s *Store) look(ctx context.Context, item *sealed) (verdict, uint64, error) {
	end, err := s.last(ctx, Filter(item.aggregate)) // As in readOn.
	if err != nil && !errors.Is(err, errNoMessage) {
		return absent, 0, err
	}
	for {
		if item.expect >= end.sequence {
			return absent, 0, nil
		}
		m, err := s.next(ctx, Filter(item.aggregate), item.expect+1)
		if errors.Is(err, errNoMessage) {
			return absent, 0, nil
		}
		if err != nil {
			return absent, 0, err
		}
		entry, err := s.open(m)
		switch {
		case err != nil:
			item.expect = m.sequence
		case entry.Digest == item.digest:
			return present, m.sequence, nil
		case !sameHead(entry.Event.GetPrevious(), item.event.GetPrevious()):
			item.expect = m.sequence
		default:
			return overtaken, 0, nil
		}
	}
}
