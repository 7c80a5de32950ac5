package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

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

// Prepared is a batch that only has to be written.
type Prepared struct {
	from, to   Checkpoint
	batch      *batch
	statements *pgx.Batch
	touched    []procedure.State
}

// To is how far the record will have come with it.
func (p *Prepared) To() Checkpoint { return p.to }

// Len is how many messages it holds.
func (p *Prepared) Len() int { return len(p.batch.rows) }

// Counted is those of its messages that count, in their order.
func (p *Prepared) Counted() iter.Seq[procedure.Entry] {
	return func(yield func(procedure.Entry) bool) {
		for i := range p.batch.rows {
			if r := &p.batch.rows[i]; r.rejected == nil && !yield(r.Entry) {
				return
			}
		}
	}
}

// Write records messages that follow the checkpoint from without a gap, at most
// MaxBatch of them, in one transaction. After any error nothing is known to be
// written: read the checkpoint again and go on from there.
func (l *Ledger) Write(ctx context.Context, from Checkpoint, messages []Message) (Written, error) {
	p, err := l.Prepare(ctx, from, messages)
	if err != nil {
		l.Forget()
		return Written{}, err
	}
	w, err := l.Commit(ctx, p)
	if err != nil {
		l.Forget()
	}
	return w, err
}

// Prepare is the first half of Write: it decides what counts, and what will be
// written. It may run while the batch before is being committed, and for that one
// alone. After an error of Prepare or Commit, call Forget when neither runs.
func (l *Ledger) Prepare(ctx context.Context, from Checkpoint, messages []Message) (*Prepared, error) {
	if len(messages) == 0 || len(messages) > MaxBatch {
		return nil, fmt.Errorf("%w: %d messages", ErrNotContiguous, len(messages))
	}
	for i := range messages {
		if messages[i].Sequence != from.Sequence+uint64(i)+1 {
			return nil, fmt.Errorf("%w: %d after %d", ErrNotContiguous, messages[i].Sequence, from.Sequence+uint64(i))
		}
	}
	b := newBatch(messages)
	l.settle(b.last)
	if err := l.load(ctx, b); err != nil {
		return nil, err
	}
	if err := l.fold(b); err != nil {
		return nil, err
	}
	last := &messages[len(messages)-1]
	p := &Prepared{
		from: from, batch: b,
		to: Checkpoint{Epoch: from.Epoch, Sequence: last.Sequence, Digest: last.digest(), Subject: clean(last.Subject)},
	}
	for _, h := range b.touched {
		state := h.timeline.State()
		p.touched = append(p.touched, state)
		if state.Phase == procedure.PhaseClosed {
			l.closed = append(l.closed, over{state.Release, b.last})
		}
	}
	var err error
	p.statements, err = l.statements(p)
	return p, err
}

// settle makes room: what is closed is asked for no more, and what is on record can
// be read again.
func (l *Ledger) settle(next uint64) {
	recorded := l.recorded.Load()
	l.closed = slices.DeleteFunc(l.closed, func(o over) bool {
		if o.last <= recorded {
			l.releases.drop(o.release, recorded)
		}
		return o.last <= recorded
	})
	l.releases.trim(recorded)
	l.heads.trim(recorded)
	l.releases.now, l.heads.now = next, next
}

// Commit is the second half of Write: one transaction. The batch is used up.
func (l *Ledger) Commit(ctx context.Context, p *Prepared) (Written, error) {
	if err := l.commit(ctx, p); err != nil {
		return Written{}, fmt.Errorf("record %d to %d: %w", p.from.Sequence+1, p.to.Sequence, err)
	}
	l.recorded.Store(p.to.Sequence)
	return Written{Checkpoint: p.to, Touched: p.touched, Rejected: p.batch.rejected}, nil
}

// commit runs one transaction: in two exchanges where there are few events, with a
// third for many.
func (l *Ledger) commit(ctx context.Context, p *Prepared) (err error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	defer func() {
		if err != nil && !conn.Conn().IsClosed() {
			_, _ = conn.Exec(context.WithoutCancel(ctx), "rollback") // Else the pool gives the connection up.
		}
	}()
	results := conn.SendBatch(ctx, p.statements)
	_, err = results.Exec() // begin
	if err == nil {
		var moved pgconn.CommandTag
		if moved, err = results.Exec(); err == nil && moved.RowsAffected() != 1 {
			err = ErrNotCurrent
		}
	}
	err = errors.Join(err, results.Close())
	if err == nil && len(p.batch.rows) > few {
		_, err = conn.Conn().PgConn().CopyFrom(ctx, &copyReader{rows: p.batch.rows}, copyEvents)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "23505" && refused.TableName == "events" {
		return fmt.Errorf("%w: %w", ErrNotCurrent, err)
	}
	if err != nil {
		return err
	}
	if err := failpoint.Hit("record.before-commit"); err != nil {
		return err
	}
	ended, err := conn.Exec(ctx, "commit")
	if err != nil {
		return err
	}
	if ended.String() != "COMMIT" {
		return fmt.Errorf("commit: the database answers %q", ended)
	}
	return failpoint.Hit("record.after-commit")
}

// statements begin the transaction and write everything but many events. The second one
// must have moved the checkpoint.
func (l *Ledger) statements(p *Prepared) (*pgx.Batch, error) {
	out, b := &pgx.Batch{}, p.batch
	out.Queue("begin")
	out.Queue(`update checkpoint set last_seq = $1, last_sha256 = $2
		where epoch = $3 and last_seq = $4 and last_sha256 = $5`,
		p.to.Sequence, p.to.Digest[:], p.from.Epoch, p.from.Sequence, digestBytes(p.from))
	if len(b.rows) <= few {
		queueEvents(out, b.rows)
	}
	if err := queueReleases(out, b.touched); err != nil {
		return nil, err
	}
	queueTargets(out, b.targets)
	if err := queueQuarantines(out, b.artifacts); err != nil {
		return nil, err
	}
	if err := queueRefusals(out, b.refusals); err != nil {
		return nil, err
	}
	for _, p := range b.procedures {
		out.Queue(`insert into procedures (digest, version, first_seq) values ($1, $2, $3) on conflict do nothing`,
			clean(p.digest), clean(p.version), p.seq)
	}
	out.Queue(`select pg_notify($1, $2)`, channel(l.schema), strconv.FormatUint(p.to.Sequence, 10))
	return out, nil
}

func digestBytes(c Checkpoint) []byte {
	if c.Sequence == 0 {
		return []byte{}
	}
	return c.Digest[:]
}
