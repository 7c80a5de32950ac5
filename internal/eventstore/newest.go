package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
)

// NewestReleases returns the ids of up to so many releases, those with the newest requests
// first. A request that does not count as it stands is none. Newest is the sequence of the
// first one's request; 0 where there is none.
func (s *Store) NewestReleases(ctx context.Context, most int) (ids []string, newest uint64, err error) {
	filter := procedure.Aggregate("*") + "." + procedure.ServiceApproval + ".requested"
	end, err := s.last(ctx, filter)
	if errors.Is(err, errNoMessage) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the newest requests: %w", err)
	}
	// The server reads forward only: so one looks further and further back, and from there to
	// where one was. A release has some dozens of events.
	for until, width := end.sequence+1, uint64(max(most, 1))*32; until > 1 && len(ids) < most; width *= 2 {
		from := uint64(1)
		if until > width {
			from = until - width
		}
		part, err := s.requests(ctx, filter, from, until)
		if err != nil {
			return nil, 0, fmt.Errorf("read the newest requests: %w", err)
		}
		for _, e := range slices.Backward(part) {
			id := strings.TrimPrefix(e.Event.GetAggregate(), procedure.Aggregate(""))
			if len(ids) == most || slices.Contains(ids, id) {
				continue
			}
			if ids = append(ids, id); len(ids) == 1 {
				newest = e.Sequence
			}
		}
		until = from
	}
	return ids, newest, nil
}

// requests are those that count of the sequences from one to before another.
func (s *Store) requests(ctx context.Context, filter string, from, until uint64) (out []procedure.Entry, err error) {
	for from < until {
		m, err := s.next(ctx, filter, from)
		if errors.Is(err, errNoMessage) || err == nil && m.sequence >= until {
			break
		}
		if err != nil {
			return nil, err
		}
		from = m.sequence + 1
		entry, err := s.open(m)
		if err != nil {
			slog.WarnContext(ctx, "a request does not count", slog.Uint64("sequence", m.sequence), slog.Any("error", err))
			continue
		}
		out = append(out, entry)
	}
	return out, nil
}
