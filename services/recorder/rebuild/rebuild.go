// Package rebuild records the whole stream once more, into a schema of its own, and
// compares every row with the live one. It is how the record is proved to come from
// the stream alone, and how it is repaired where it does not (PD-8.1).
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

// fresh is the schema that is built beside the live one.
const fresh = migrations.Schema + "_rebuild"

// attempts is how often Replace tries to catch up with a live recorder.
const attempts = 20

// ErrBusy says that a live recorder was always a little ahead.
var ErrBusy = errors.New("the live recorder never stood still: stop it first")

// Rebuild is a rebuilt record beside the live one. It is used by one goroutine.
type Rebuild struct {
	config   *pgx.ConnConfig
	ledger   *ledger.Ledger
	recorder *record.Recorder
	at       uint64
	// goal is the message that is recorded up to, and progress who wants to know.
	goal     uint64
	progress func(done, of uint64)
}

// Option changes how a record is rebuilt.
type Option func(*Rebuild)

// WithProgress has f called when it is known how many messages there are, and after
// every batch of them: with how many are recorded anew, and of how many. Those that
// come while they are recorded make it more.
func WithProgress(f func(done, of uint64)) Option { return func(r *Rebuild) { r.progress = f } }

// Start makes the schema anew and records the stream into it, as far as the live
// record goes. The connection string is that of a login that may make schemas and
// is a member of the recorder's roles. It has no deadline but the context's. Close
// must be called.
func Start(ctx context.Context, dsn string, js jetstream.JetStream, ring *envelope.Keyring, options ...Option) (*Rebuild, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the connection string: %w", err)
	}
	r := &Rebuild{config: config, progress: func(uint64, uint64) {}}
	for _, option := range options {
		option(r)
	}
	if err := r.exec(ctx, "drop schema if exists "+fresh+" cascade"); err != nil {
		return nil, fmt.Errorf("drop the last rebuild: %w", err)
	}
	if err := migrations.Up(ctx, config, fresh); err != nil {
		return nil, err
	}
	if r.ledger, err = ledger.Open(ctx, dsn, fresh); err != nil {
		return nil, err
	}
	r.recorder = record.New(js, ring, r.ledger, nil, func(_ context.Context, w ledger.Written) { r.progress(w.Checkpoint.Sequence, r.goal) })
	live, err := r.live(ctx)
	if err == nil {
		err = r.until(ctx, live)
	}
	if err != nil {
		r.ledger.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the connections and leaves the schema.
func (r *Rebuild) Close() { r.ledger.Close() }

// Drop drops the rebuilt schema.
func (r *Rebuild) Drop(ctx context.Context) error {
	return r.exec(ctx, "drop schema if exists "+fresh+" cascade")
}

// Sequence is the last message that was recorded anew.
func (r *Rebuild) Sequence() uint64 { return r.at }

// until records anew as far as the live record goes, or to the end of a stream that
// lost what the live record has beyond it.
func (r *Rebuild) until(ctx context.Context, live uint64) error {
	sequence, err := r.reachable(ctx, live)
	if err != nil || sequence <= r.at {
		return err
	}
	r.goal = sequence
	r.progress(r.at, r.goal)
	if err := r.recorder.Until(ctx, sequence); err != nil {
		return err
	}
	r.at = sequence
	return nil
}

func (r *Rebuild) reachable(ctx context.Context, live uint64) (uint64, error) {
	last, err := r.recorder.End(ctx)
	return min(live, last), err
}

// live reads how far the live record goes.
func (r *Rebuild) live(ctx context.Context) (sequence uint64, err error) {
	conn, err := r.connect(ctx, migrations.Schema)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := conn.QueryRow(ctx, "select last_seq from checkpoint").Scan(&sequence); err != nil {
		return 0, fmt.Errorf("read the live checkpoint: %w", err)
	}
	return sequence, nil
}

// Replace puts the rebuilt schema in place of the live one, in one transaction,
// and returns the name under which the old one is kept. The live record must stand
// exactly where the rebuilt one does: what came meanwhile is recorded first. Only
// where the stream ends before the live record does, the rebuilt one ends with it.
func (r *Rebuild) Replace(ctx context.Context, now time.Time) (kept string, err error) {
	kept = migrations.Schema + "_before_" + now.UTC().Format("20060102150405")
	for range attempts {
		ahead, err := r.swap(ctx, kept)
		if err != nil {
			return "", err
		}
		if ahead == 0 {
			return kept, nil
		}
		if err := r.until(ctx, ahead); err != nil {
			return "", err
		}
	}
	return "", ErrBusy
}

// swap renames both schemas, or returns how far the live record is ahead.
func (r *Rebuild) swap(ctx context.Context, kept string) (ahead uint64, err error) {
	conn, err := pgx.ConnectConfig(ctx, r.config)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "lock table "+migrations.Schema+".checkpoint in access exclusive mode"); err != nil {
			return fmt.Errorf("hold the live recorder: %w", err)
		}
		var live uint64
		if err := tx.QueryRow(ctx, "select last_seq from "+migrations.Schema+".checkpoint").Scan(&live); err != nil {
			return fmt.Errorf("read the live checkpoint: %w", err)
		}
		reachable, err := r.reachable(ctx, live)
		if err != nil {
			return err
		}
		if reachable > r.at {
			ahead = reachable
			return nil
		}
		if err := r.keep(ctx, tx); err != nil {
			return err
		}
		for _, rename := range [][2]string{{migrations.Schema, kept}, {fresh, migrations.Schema}} {
			if _, err := tx.Exec(ctx, "alter schema "+rename[0]+" rename to "+rename[1]); err != nil {
				return fmt.Errorf("rename schema %s: %w", rename[0], err)
			}
		}
		return nil
	})
	return ahead, err
}

// keep takes over what is not computed from the stream: which mails people got. Without it
// they would get them again. Of a day that goes beyond the end of a restored stream what
// comes instead is told, so that it ends there. A live record of before there were any has
// none.
func (r *Rebuild) keep(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, "select to_regclass($1) is not null", migrations.Schema+".digests").Scan(&there); err != nil {
		return fmt.Errorf("look for mails in the live record: %w", err)
	}
	if !there {
		return nil
	}
	for _, statement := range []string{
		// The lock that keeps writers out and lets readers go on.
		"lock table " + migrations.Schema + ".digest_days, " + migrations.Schema + ".digests in share row exclusive mode",
		fmt.Sprintf(`insert into %[1]s.digest_days (day, after_seq, through_seq, kind, noted)
			select day, least(after_seq, %[3]d), least(through_seq, %[3]d), kind, noted from %[2]s.digest_days`, fresh, migrations.Schema, r.at),
		"insert into " + fresh + ".digests (day, person, attempt, state, noted) select day, person, attempt, state, noted from " + migrations.Schema + ".digests",
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("take over which mails people got: %w", err)
		}
	}
	return nil
}

func (r *Rebuild) connect(ctx context.Context, schema string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, r.config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := migrations.Assume(ctx, conn, migrations.Owner, schema); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

func (r *Rebuild) exec(ctx context.Context, statement string) error {
	conn, err := pgx.ConnectConfig(ctx, r.config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
