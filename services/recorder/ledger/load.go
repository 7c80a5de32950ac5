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

// load brings every aggregate of the batch into memory, with one question.
func (l *Ledger) load(ctx context.Context, b *batch) error {
	var releases, others []string
	wanted := map[string]bool{}
	for i := range b.rows {
		aggregate := b.rows[i].aggregate
		if wanted[aggregate] {
			continue
		}
		wanted[aggregate] = true
		if b.rows[i].kind != kindRelease {
			if _, ok := l.heads.get(aggregate); !ok {
				others = append(others, aggregate)
			}
		} else if _, ok := l.releases.get(releaseOf(aggregate)); !ok {
			releases = append(releases, aggregate)
		}
	}
	var ask pgx.Batch
	if len(releases) > 0 {
		ask.Queue(`select seq, stored_nanos, sha256, case when rejected is null then body end, aggregate, rejected is not null
			from events where aggregate = any($1) order by seq`, releases).Query(l.loadReleases(releases))
	}
	if len(others) > 0 {
		ask.Queue(`select distinct on (aggregate) aggregate, seq, sha256 from events
			where aggregate = any($1) and rejected is null order by aggregate, seq desc`, others).Query(l.loadHeads)
	}
	if ask.Len() == 0 {
		return nil
	}
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
			if err := l.loadEvent(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

func (l *Ledger) loadEvent(rows pgx.Rows) error {
	var entry procedure.Entry
	var nanos int64
	var digest, body []byte
	var aggregate string
	var rejected bool
	if err := rows.Scan(&entry.Sequence, &nanos, &digest, &body, &aggregate, &rejected); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	h, ok := l.releases.get(releaseOf(aggregate))
	if !ok {
		return errNotLoaded
	}
	if rejected {
		h.rejected++
		return nil
	}
	copy(entry.Digest[:], digest)
	entry.Stored = time.Unix(0, nanos).UTC()
	entry.Event = &releasev1.Event{}
	if err := proto.Unmarshal(body, entry.Event); err != nil {
		return fmt.Errorf("read event %d: %w", entry.Sequence, err)
	}
	if err := h.timeline.Add(entry); err != nil {
		return fmt.Errorf("event %d counted when it was recorded and does not now: %w", entry.Sequence, err)
	}
	// What it changed in the lists is on record, too.
	h.people, h.digests = len(h.timeline.Parts()), len(h.timeline.Digests())
	return nil
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
