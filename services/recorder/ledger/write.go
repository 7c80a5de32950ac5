package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/procedure"
)

// Written is what came of a batch.
type Written struct {
	// Checkpoint is how far the record has come with it.
	Checkpoint Checkpoint
	// Touched is every release that it touched, as it is now.
	Touched []procedure.State
	// Rejected is how many of its messages do not count.
	Rejected int
}

// Write records messages that follow the checkpoint from without a gap, at most
// MaxBatch of them, in one transaction. After any error nothing is known to be
// written: read the checkpoint again and go on from there.
func (l *Ledger) Write(ctx context.Context, from Checkpoint, messages []Message) (Written, error) {
	w, err := l.write(ctx, from, messages)
	if err != nil {
		l.Forget()
		return Written{}, err
	}
	return w, nil
}

func (l *Ledger) write(ctx context.Context, from Checkpoint, messages []Message) (Written, error) {
	if len(messages) == 0 || len(messages) > MaxBatch {
		return Written{}, fmt.Errorf("%w: %d messages", ErrNotContiguous, len(messages))
	}
	for i, m := range messages {
		if m.Sequence != from.Sequence+uint64(i)+1 {
			return Written{}, fmt.Errorf("%w: %d after %d", ErrNotContiguous, m.Sequence, from.Sequence+uint64(i))
		}
	}
	if err := l.load(ctx, messages); err != nil {
		return Written{}, err
	}
	b := l.fold(messages)
	last := messages[len(messages)-1]
	to := Checkpoint{Epoch: from.Epoch, Sequence: last.Sequence, Digest: last.digest(), Subject: clean(last.Subject)}
	statements, err := l.statements(b, from, to)
	if err != nil {
		return Written{}, err
	}
	if err := l.commit(ctx, statements); err != nil {
		return Written{}, fmt.Errorf("record %d to %d: %w", messages[0].Sequence, last.Sequence, err)
	}
	w := Written{Checkpoint: to, Rejected: b.rejected}
	for _, release := range b.touched {
		h, _ := l.releases.get(release)
		w.Touched = append(w.Touched, h.timeline.State())
		if h.timeline.State().Phase == procedure.PhaseClosed {
			l.releases.drop(release)
		}
	}
	return w, nil
}

// commit runs the statements as one transaction, of which the first must have
// moved the checkpoint.
func (l *Ledger) commit(ctx context.Context, statements *pgx.Batch) error {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	results := tx.SendBatch(ctx, statements)
	moved, err := results.Exec()
	if err == nil && moved.RowsAffected() != 1 {
		err = ErrNotCurrent
	}
	if err = errors.Join(err, results.Close()); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "23505" && refused.TableName == "events" {
			return fmt.Errorf("%w: %w", ErrNotCurrent, err)
		}
		return err
	}
	if err := failpoint.Hit("record.before-commit"); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return failpoint.Hit("record.after-commit")
}

// statements are everything that a batch writes, for one round trip.
func (l *Ledger) statements(b *batch, from, to Checkpoint) (*pgx.Batch, error) {
	out := &pgx.Batch{}
	out.Queue(`update checkpoint set last_seq = $1, last_sha256 = $2
		where epoch = $3 and last_seq = $4 and last_sha256 = $5`,
		to.Sequence, to.Digest[:], from.Epoch, from.Sequence, digestBytes(from))
	queueEvents(out, b.rows)
	if err := l.queueReleases(out, b.touched); err != nil {
		return nil, err
	}
	queueTargets(out, b.targets)
	if err := queueRefusals(out, b.refusals); err != nil {
		return nil, err
	}
	for _, p := range b.procedures {
		out.Queue(`insert into procedures (digest, version, first_seq) values ($1, $2, $3) on conflict do nothing`,
			clean(p.digest), clean(p.version), p.seq)
	}
	out.Queue(`select pg_notify($1, $2)`, channel(l.schema), fmt.Sprint(to.Sequence))
	return out, nil
}

func digestBytes(c Checkpoint) []byte {
	if c.Sequence == 0 {
		return []byte{}
	}
	return c.Digest[:]
}

// timeOrNull is a time for the database; null for none.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}
