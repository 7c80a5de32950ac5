package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

var (
	// ErrNotCurrent says that the checkpoint is not where the batch begins:
	// another recorder wrote in between. Nothing was written.
	ErrNotCurrent = errors.New("another recorder has moved the checkpoint")
	// ErrNotContiguous says that the batch does not follow the checkpoint without
	// a gap. Nothing was written.
	ErrNotContiguous = errors.New("messages do not follow the checkpoint without a gap")
	// ErrNotFound says that there is no such release.
	ErrNotFound = errors.New("not on record")
)

// MaxBatch is the largest number of messages in one transaction.
const MaxBatch = 512

// Sizes of what is kept in memory between batches.
const (
	keptReleases = 1024
	keptHeads    = 4096
)

// Ledger writes the record. It is used by one goroutine at a time, except that one
// batch may be prepared while another is committed.
type Ledger struct {
	pool   *pgxpool.Pool
	schema string
	// recorded is the last message that was committed here.
	recorded atomic.Uint64

	// What follows belongs to whoever prepares.
	releases *lru[*history]
	heads    *lru[head]
	closed   []over
}

// over is a release that is closed, as of the last message of a batch.
type over struct {
	release string
	last    uint64
}

// Open connects as the writing role to the schema, which must be at
// migrations.Version. It fails with migrations.ErrOutdated where it is not.
func Open(ctx context.Context, dsn, schema string) (*Ledger, error) {
	pool, err := connect(ctx, dsn, migrations.Writer, schema, 4)
	if err != nil {
		return nil, fmt.Errorf("open the record for writing: %w", err)
	}
	l := &Ledger{pool: pool, schema: schema}
	l.Forget()
	return l, nil
}

// Close closes the connections.
func (l *Ledger) Close() { l.pool.Close() }

// Forget drops what is kept in memory. Whoever goes on from a checkpoint that was
// read anew calls it first, because another recorder may have written since.
func (l *Ledger) Forget() {
	l.releases = newLRU[*history](keptReleases)
	l.heads = newLRU[head](keptHeads)
	l.closed = nil
	l.recorded.Store(0)
}

func connect(ctx context.Context, dsn, role, schema string, connections int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	if role == migrations.Reader {
		cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	cfg.MaxConns = connections
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := migrations.Assume(ctx, conn, role, schema); err != nil {
			return err
		}
		// A commit that may be lost would let the checkpoint and the rows go
		// back together unseen; a stronger setting is left alone.
		_, err := conn.Exec(ctx, `select set_config('synchronous_commit', 'on', false)
			where current_setting('synchronous_commit') = 'off'`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return migrations.Check(ctx, conn.Conn()) })
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// channel is where a committed batch is announced, with its last sequence.
func channel(schema string) string { return schema + "_recorded" }
