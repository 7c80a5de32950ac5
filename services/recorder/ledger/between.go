package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/services/recorder/view"
)

// Of is the release that an event is of, and what it releases; empty where it is of none.
type Of struct {
	Release, Service, Environment, Version string
}

// work are types of events that are of no person and that there are many of.
var work = []string{
	"gates_confirmed", "scope_validated", "change_previewed", "risk_cleared", "held", "gates_held", "start_held", "notified", "service_changed",
	"target_locked", "target_unlocked", "execution_claimed", "execution_finished", "verification_passed", "targets_released", "recorded",
}

// between finds the release of an event by the key of releases: it does not read all of them.
const between = `select e.seq, e.stored_nanos, e.sha256, e.body, e.subject, e.event_id, e.signed_by, coalesce(e.rejected, ''), null::bytea,
		coalesce(r.release, ''), coalesce(r.service, ''), coalesce(r.environment, ''), coalesce(r.version, '')
	from events e left join releases r on r.release = substr(e.aggregate, 5) and starts_with(e.aggregate, 'rel.')
	where e.seq > $1 and e.seq <= $2 and e.type <> all($3) order by e.seq`

// Between calls f with the messages on record behind a sequence up to another one that may
// be somebody's doing, in order, those that do not count as well: left out are what the
// machines do most. It holds one message at a time.
func (r *Reader) Between(ctx context.Context, after, through uint64, f func(view.Recorded, Of) error) error {
	_, err := r.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, between, int64(after), int64(through), work) //nolint:gosec // Sequences are far below 2^63.
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var of Of
			one, err := scanRecorded(beside{rows, []any{&of.Release, &of.Service, &of.Environment, &of.Version}})
			if err != nil {
				return err
			}
			if err := f(one, of); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("read the events behind %d up to %d: %w", after, through, err)
	}
	return nil
}

// beside is a row that has more columns behind those that are asked for.
type beside struct {
	pgx.Rows

	more []any
}

// Scan implements pgx.Row.
func (b beside) Scan(into ...any) error { return b.Rows.Scan(append(into, b.more...)...) }
