package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/envelope"
)

// Beginning is Load for whoever asks what an aggregate once was, and not what comes next: of
// a history that is too long it returns the first MaxHistory messages. A release that was
// carried through had all of its steps in these, because nobody carries on what Load does
// not read; so whoever fills the history afterwards hides nothing of it. Errors are those of
// Load, without ErrTooLong.
func (s *Store) Beginning(ctx context.Context, aggregate string) (History, error) {
	if err := envelope.CheckAggregate(aggregate); err != nil {
		return History{}, fmt.Errorf("load the beginning: %w", err)
	}
	h, err := s.cache.take(ctx, aggregate)
	if err != nil {
		return History{}, fmt.Errorf("load the beginning of %s: %w", aggregate, err)
	}
	defer s.cache.give(h)
	if err := s.readOn(ctx, h); err != nil && !errors.Is(err, ErrTooLong) {
		return History{}, fmt.Errorf("load the beginning of %s: %w", aggregate, err)
	}
	return s.share(ctx, h), nil
}
