package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// retryListen is the pause after a lost connection.
const retryListen = 500 * time.Millisecond

// Tail follows the checkpoint as it is committed, by this process or another, so
// that readers can wait for more. Its methods may be called concurrently.
type Tail struct {
	dsn, schema string

	mu      sync.Mutex
	asOf    uint64
	changed chan struct{} // closed and replaced when asOf grows
}

// NewTail returns a tail that follows nothing until Run is called.
func NewTail(dsn, schema string) *Tail {
	return &Tail{dsn: dsn, schema: schema, changed: make(chan struct{})}
}

// Run follows the checkpoint until the context ends, over lost connections.
func (t *Tail) Run(ctx context.Context) error {
	for {
		err := t.listen(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // The end of the context is why it failed.
		}
		slog.WarnContext(ctx, "following the record was interrupted", slog.Any("error", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryListen):
		}
	}
}

func (t *Tail) listen(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, t.dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := migrations.Assume(ctx, conn, migrations.Reader, t.schema); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel(t.schema)}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// What was committed before is announced no more.
	var asOf uint64
	if err := conn.QueryRow(ctx, "select last_seq from checkpoint").Scan(&asOf); err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	t.advance(asOf)
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if asOf, err := strconv.ParseUint(n.Payload, 10, 64); err == nil {
			t.advance(asOf)
		}
	}
}

func (t *Tail) advance(asOf uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if asOf > t.asOf {
		t.asOf = asOf
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// AsOf returns how far the record has come, and a channel that is closed when it
// has come further.
func (t *Tail) AsOf() (uint64, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asOf, t.changed
}

// Wait returns when the record has come to the sequence, or the context's error.
func (t *Tail) Wait(ctx context.Context, sequence uint64) error {
	for {
		asOf, changed := t.AsOf()
		if asOf >= sequence {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for sequence %d, at %d: %w", sequence, asOf, ctx.Err())
		case <-changed:
		}
	}
}
