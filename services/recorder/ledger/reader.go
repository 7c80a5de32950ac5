package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// readers is how many questions are answered at a time; more wait.
const readers = 8

// Reader reads the record with the rights of the reading role, in transactions
// that may not write. Its methods may be called concurrently.
type Reader struct {
	pool *pgxpool.Pool
	// versions of procedure documents by digest, which never change.
	versions sync.Map
}

// OpenReader connects as the reading role; else it is as Open.
func OpenReader(ctx context.Context, dsn, schema string) (*Reader, error) {
	pool, err := connect(ctx, dsn, migrations.Reader, schema, readers)
	if err != nil {
		return nil, fmt.Errorf("open the record for reading: %w", err)
	}
	return &Reader{pool: pool}, nil
}

// Close closes the connections.
func (r *Reader) Close() { r.pool.Close() }

// Ping reports whether the database answers.
func (r *Reader) Ping(ctx context.Context) error { return r.pool.Ping(ctx) }

// snapshot reads everything that look asks for as of one moment, and returns the
// last sequence on record at that moment.
func (r *Reader) snapshot(ctx context.Context, look func(pgx.Tx) error) (asOf uint64, err error) {
	err = pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select last_seq from checkpoint").Scan(&asOf); err != nil {
			return fmt.Errorf("read the checkpoint: %w", err)
		}
		return look(tx)
	})
	return asOf, err
}

// Release returns one release and, where they are wanted, its events, as of the
// sequence; sealed, each of them has its stored bytes and its signature. It fails with
// ErrNotFound where there is none.
func (r *Reader) Release(ctx context.Context, release string, events, sealed bool) (*recorderv1.Release, []view.Recorded, uint64, error) {
	var stored []byte
	var all []view.Recorded
	var of string // The release of which it is a way back.
	asOf, err := r.snapshot(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "select view, way_back_of from releases where release = $1", release).Scan(&stored, &of)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("release %q: %w", release, ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("read release %q: %w", release, err)
		}
		if !events {
			return nil
		}
		all, err = eventsOf(ctx, tx, kindRelease+"."+cmp.Or(of, release), 0, sealed)
		return err
	})
	if err != nil {
		return nil, nil, asOf, err
	}
	out, err := r.decode(ctx, stored)
	if err != nil {
		return nil, nil, asOf, err
	}
	if of != "" {
		all = ofWayBack(all, out[0].GetRollbacks()[0])
	}
	return out[0], all, asOf, nil
}

// ofWayBack are the messages of a release that its way back is made of: from the event that
// ordered it to the one that ended it, and the one that closed its record.
func ofWayBack(all []view.Recorded, r *recorderv1.Rollback) []view.Recorded {
	return slices.DeleteFunc(all, func(m view.Recorded) bool {
		at := m.Entry.Sequence
		return at < r.GetOrderedByEvent() || r.GetEndedByEvent() != 0 && at > r.GetEndedByEvent() && at != r.GetRecordedByEvent()
	})
}

// Events returns the events of a release behind a sequence, those that do not
// count as well.
func (r *Reader) Events(ctx context.Context, release string, after uint64) (all []view.Recorded, asOf uint64, err error) {
	asOf, err = r.snapshot(ctx, func(tx pgx.Tx) error {
		all, err = eventsOf(ctx, tx, kindRelease+"."+release, after, false)
		return err
	})
	return all, asOf, err
}

// Unrecorded returns the releases that wait for step 8.
func (r *Reader) Unrecorded(ctx context.Context) ([]string, error) {
	rows, err := r.pool.Query(ctx, "select release from releases where phase = 'record' and not closed and way_back_of = ''")
	if err != nil {
		return nil, fmt.Errorf("look for releases to be recorded: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for releases to be recorded: %w", err)
	}
	return out, nil
}

// decode reads stored releases and completes them.
func (r *Reader) decode(ctx context.Context, views ...[]byte) ([]*recorderv1.Release, error) {
	out := make([]*recorderv1.Release, 0, len(views))
	for _, v := range views {
		release := &recorderv1.Release{}
		if err := proto.Unmarshal(v, release); err != nil {
			return nil, fmt.Errorf("decode a release: %w", err)
		}
		out = append(out, release)
	}
	return out, r.Complete(ctx, out...)
}

// Complete adds to releases what their own events do not tell: the version of the
// procedure document that they run under, and the releases that take them back, as of
// now.
func (r *Reader) Complete(ctx context.Context, releases ...*recorderv1.Release) error {
	if err := r.link(ctx, releases); err != nil {
		return err
	}
	var unknown []string
	for _, release := range releases {
		if _, ok := r.versions.Load(release.GetProcedureDigest()); !ok {
			unknown = append(unknown, release.GetProcedureDigest())
		}
	}
	if err := r.learnVersions(ctx, unknown); err != nil {
		return err
	}
	for _, release := range releases {
		if version, ok := r.versions.Load(release.GetProcedureDigest()); ok {
			release.ProcedureVersion, _ = version.(string)
		}
	}
	return nil
}

func (r *Reader) learnVersions(ctx context.Context, digests []string) error {
	if len(digests) == 0 {
		return nil
	}
	rows, err := r.pool.Query(ctx, "select digest, version from procedures where digest = any($1)", digests)
	if err != nil {
		return fmt.Errorf("read procedure versions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var digest, version string
		if err := rows.Scan(&digest, &version); err != nil {
			return fmt.Errorf("read procedure versions: %w", err)
		}
		r.versions.Store(digest, version)
	}
	return rows.Err()
}
