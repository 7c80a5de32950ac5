package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

var errNotLoaded = errors.New("aggregate is not loaded")

// load brings every aggregate of the messages into memory, with one question.
func (l *Ledger) load(ctx context.Context, messages []Message) error {
	var releases, others []string
	wanted := map[string]bool{}
	for _, m := range messages {
		aggregate, kind := aggregateOf(m.Subject)
		if wanted[aggregate] {
			continue
		}
		wanted[aggregate] = true
		if kind != kindRelease {
			if _, ok := l.heads.get(aggregate); !ok {
				others = append(others, aggregate)
			}
		} else if _, ok := l.releases.get(releaseOf(aggregate)); !ok {
			releases = append(releases, aggregate)
		}
	}
	if len(releases)+len(others) == 0 {
		return nil
	}
	var ask pgx.Batch
	ask.Queue(`select seq, stored_nanos, sha256, body, aggregate from events
		where aggregate = any($1) and rejected is null order by seq`, releases).Query(l.loadReleases(releases))
	ask.Queue(`select aggregate, count(*) from events
		where aggregate = any($1) and rejected is not null group by aggregate`, releases).Query(l.loadRejected)
	ask.Queue(`select distinct on (aggregate) aggregate, seq, sha256 from events
		where aggregate = any($1) and rejected is null order by aggregate, seq desc`, others).Query(l.loadHeads)
	if err := l.pool.SendBatch(ctx, &ask).Close(); err != nil {
		return fmt.Errorf("load %d aggregates: %w", len(releases)+len(others), err)
	}
	return nil
}

func (l *Ledger) loadReleases(aggregates []string) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for _, a := range aggregates {
			l.releases.put(releaseOf(a), &history{timeline: view.New(releaseOf(a))})
		}
		for rows.Next() {
			var aggregate string
			entry, err := scanEntry(rows, &aggregate)
			if err != nil {
				return err
			}
			h, ok := l.releases.get(releaseOf(aggregate))
			if !ok {
				return errNotLoaded
			}
			if err := h.timeline.Add(entry); err != nil {
				return fmt.Errorf("event %d counted when it was recorded and does not now: %w", entry.Sequence, err)
			}
		}
		return rows.Err()
	}
}

func (l *Ledger) loadRejected(rows pgx.Rows) error {
	for rows.Next() {
		var aggregate string
		var count int64
		if err := rows.Scan(&aggregate, &count); err != nil {
			return err
		}
		if h, ok := l.releases.get(releaseOf(aggregate)); ok {
			h.rejected = uint32(count) //nolint:gosec // A count of rows, which is far below 2^32.
		}
	}
	return rows.Err()
}

func (l *Ledger) loadHeads(rows pgx.Rows) error {
	for rows.Next() {
		var aggregate string
		var h head
		var digest []byte
		if err := rows.Scan(&aggregate, &h.seq, &digest); err != nil {
			return err
		}
		copy(h.digest[:], digest)
		l.heads.put(aggregate, h)
	}
	return rows.Err()
}

// scanEntry reads seq, stored_nanos, sha256 and body, and whatever follows.
func scanEntry(rows pgx.Rows, more ...any) (procedure.Entry, error) {
	var entry procedure.Entry
	var nanos int64
	var digest, body []byte
	if err := rows.Scan(append([]any{&entry.Sequence, &nanos, &digest, &body}, more...)...); err != nil {
		return entry, fmt.Errorf("read an event: %w", err)
	}
	copy(entry.Digest[:], digest)
	entry.Stored = time.Unix(0, nanos).UTC()
	entry.Event = &releasev1.Event{}
	if err := proto.Unmarshal(body, entry.Event); err != nil {
		return entry, fmt.Errorf("read event %d: %w", entry.Sequence, err)
	}
	return entry, nil
}
