package chaos

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// record compares the database with the stream: every message, byte by byte, and
// what it says of every release.
// At the end the record must have come to the end of the stream; before, only what it
// has left behind is missing.
func (b *bench) record(ctx context.Context, url string, end bool) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := migrations.Assume(ctx, conn, migrations.Reader, migrations.Schema); err != nil {
		return err
	}
	if err := b.rows(ctx, conn, end); err != nil || !end {
		return err
	}
	return b.views(ctx, conn)
}

func (b *bench) rows(ctx context.Context, conn *pgx.Conn, end bool) error {
	rows, err := conn.Query(ctx, "select seq, subject, body, sha256, rejected is not null from events order by seq")
	if err != nil {
		return err
	}
	defer rows.Close()
	at := 0
	for rows.Next() {
		var sequence uint64
		var subject string
		var body, digest []byte
		var rejected bool
		if err := rows.Scan(&sequence, &subject, &body, &digest, &rejected); err != nil {
			return err
		}
		if len(b.messages) > 0 && sequence > b.messages[len(b.messages)-1].Sequence {
			break // Stored since the stream was read: the run has not settled.
		}
		for at < len(b.messages) && b.messages[at].Sequence < sequence {
			b.count(&b.Gap, "gap", "message %d is not on record", b.messages[at].Sequence)
			at++
		}
		if at == len(b.messages) || b.messages[at].Sequence != sequence {
			b.count(&b.Gap, "gap", "row %d is of no message", sequence)
			continue
		}
		m := b.messages[at]
		at++
		sum := sha256.Sum256(m.Data)
		if subject != m.Subject || !slices.Equal(body, m.Data) || !slices.Equal(digest, sum[:]) {
			b.count(&b.Gap, "gap", "row %d differs from its message", sequence)
		}
		if counts := b.counts(m); strings.HasPrefix(subject, "rel.") && counts == rejected {
			b.count(&b.Gap, "gap", "row %d (%s) is rejected: %t, and counts: %t", sequence, subject, rejected, counts)
		}
	}
	for ; end && at < len(b.messages); at++ {
		b.count(&b.Gap, "gap", "message %d is not on record", b.messages[at].Sequence)
	}
	return rows.Err()
}

// counts reports whether a message is an event of a release that counts.
func (b *bench) counts(m message) bool {
	parts := strings.Split(m.Subject, ".")
	if len(parts) < 2 {
		return false
	}
	return b.countsAt(parts[1], m.Sequence)
}

// views compares what the record says of the releases with their folds.
func (b *bench) views(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "select release, phase, outcome from releases where way_back_of = ''")
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var release, phase string
		var outcome int32
		if err := rows.Scan(&release, &phase, &outcome); err != nil {
			return err
		}
		seen++
		if s := b.states[release]; s.Phase.String() != phase || int32(s.Outcome) != outcome {
			b.count(&b.Gap, "gap", "%s is on record as %s, outcome %d, and is %s, outcome %d", release, phase, outcome, s.Phase, s.Outcome)
		}
	}
	if seen < len(b.states) {
		b.count(&b.Gap, "gap", "%d releases are on record, and %d in the stream", seen, len(b.states))
	}
	return rows.Err()
}

// recorded is how far the record has come; 0 where the database does not answer.
func (d *database) recorded(ctx context.Context) uint64 {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if migrations.Assume(ctx, conn, migrations.Reader, migrations.Schema) != nil {
		return 0
	}
	var sequence uint64
	if conn.QueryRow(ctx, "select last_seq from checkpoint").Scan(&sequence) != nil {
		return 0
	}
	return sequence
}
