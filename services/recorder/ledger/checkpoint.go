package ledger

import (
	"context"
	"fmt"
)

// Checkpoint is how far the record has come.
type Checkpoint struct {
	// Epoch names the stream's life; empty before the first recorder came.
	Epoch string
	// Sequence is the last message on record, 0 where there is none.
	Sequence uint64
	// Digest is the SHA-256 of that message's body, Subject its subject: by them
	// it is recognized in the stream.
	Digest  [32]byte
	Subject string
}

// Checkpoint reads how far the record has come. It may be called at any time, by anybody.
func (l *Ledger) Checkpoint(ctx context.Context) (Checkpoint, error) {
	var c Checkpoint
	var digest []byte
	err := l.pool.QueryRow(ctx, `select c.epoch, c.last_seq, c.last_sha256, coalesce(e.subject, '')
		from checkpoint c left join events e on e.seq = c.last_seq`).Scan(&c.Epoch, &c.Sequence, &digest, &c.Subject)
	if err != nil {
		return c, fmt.Errorf("read the checkpoint: %w", err)
	}
	copy(c.Digest[:], digest)
	return c, nil
}

// Adopt binds an empty record to the stream's life. It fails with ErrNotCurrent
// where the record is bound already.
func (l *Ledger) Adopt(ctx context.Context, epoch string) error {
	tag, err := l.pool.Exec(ctx, "update checkpoint set epoch = $1 where epoch = '' and last_seq = 0", epoch)
	if err != nil {
		return fmt.Errorf("bind the record to epoch %q: %w", epoch, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotCurrent
	}
	return nil
}
