package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// Status returns how far the record has come, and counts.
func (r *Reader) Status(ctx context.Context) (*recorderv1.GetStatusResponse, error) {
	out := &recorderv1.GetStatusResponse{}
	asOf, err := r.snapshot(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select epoch, (select count(*) from releases where way_back_of = ''),
			(select count(*) from events where rejected is not null) from checkpoint`).
			Scan(&out.Epoch, &out.Releases, &out.RejectedEvents)
		if err != nil {
			return fmt.Errorf("read the status of the record: %w", err)
		}
		return nil
	})
	// The stream has no gaps, and neither has the record.
	out.AsOfSequence, out.Events = asOf, asOf
	return out, err
}

// Phases counts releases by phase.
func (r *Reader) Phases(ctx context.Context) (map[string]int64, error) {
	rows, err := r.pool.Query(ctx, `select phase, count(*) from releases where not closed and way_back_of = '' group by phase
		union all select 'closed', count(*) from releases where closed and way_back_of = ''`)
	if err != nil {
		return nil, fmt.Errorf("count releases: %w", err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var phase string
		var count int64
		if err := rows.Scan(&phase, &count); err != nil {
			return nil, fmt.Errorf("count releases: %w", err)
		}
		out[phase] = count
	}
	return out, rows.Err()
}

// UnderWay is how many releases of a service and a version are open in a phase.
type UnderWay struct {
	Service, Environment, Version, Phase string
	Releases                             int64
}

// Open returns what is open on record, in no order.
func (r *Reader) Open(ctx context.Context) ([]UnderWay, error) {
	rows, err := r.pool.Query(ctx, `select service, environment, version, phase, count(*) from releases where not closed and way_back_of = ''
		group by service, environment, version, phase`)
	if err != nil {
		return nil, fmt.Errorf("list open releases: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UnderWay])
	if err != nil {
		return nil, fmt.Errorf("list open releases: %w", err)
	}
	return all, nil
}
