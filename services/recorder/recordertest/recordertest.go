// Package recordertest gives tests of the recorder a migrated database, and the
// histories of package proceduretest as messages of the stream.
package recordertest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// Database returns the connection string of a migrated database of the test's own.
// The login may do anything.
func Database(t testing.TB) string {
	t.Helper()
	return pgtest.Migrated(t, "recorder", Migrate)
}

// Migrate brings a database to the newest schema.
func Migrate(ctx context.Context, dsn string) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	return migrations.Up(ctx, config, migrations.Schema)
}

// Ledger opens the record for writing until the test's end.
func Ledger(t testing.TB, dsn string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), dsn, migrations.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Reader opens the record for reading until the test's end.
func Reader(t testing.TB, dsn string) *ledger.Reader {
	t.Helper()
	r, err := ledger.OpenReader(t.Context(), dsn, migrations.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// Connect opens a connection in the record's schema with the rights of the role.
func Connect(t testing.TB, dsn, role string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if err := migrations.Assume(t.Context(), conn, role, migrations.Schema); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Messages are the entries of all histories as messages that were opened, in the
// order of their stream.
func Messages(histories ...*proceduretest.History) []ledger.Message {
	var out []ledger.Message
	for _, h := range histories {
		for _, e := range h.Entries {
			out = append(out, Message(e))
		}
	}
	slices.SortFunc(out, func(a, b ledger.Message) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return out
}

// Message is the entry as a message that was opened.
func Message(e procedure.Entry) ledger.Message {
	header := nats.Header{"ce-id": {e.Event.GetId()}}
	if e.Event.GetApprovalGiven() != nil {
		// The others are not verified any more by whoever reads the record.
		m, err := envelope.Seal(envelopetest.Signer(e.Event.GetWriter()), e.Event)
		if err != nil {
			panic(err)
		}
		header = m.Header
	}
	return ledger.Message{
		Sequence: e.Sequence, Subject: envelope.Subject(e.Event), Header: ledger.EncodeHeader(header),
		Body: proceduretest.Body(e.Event), Stored: e.Stored, Entry: e, SignedBy: envelopetest.KeyID(e.Event.GetWriter()),
	}
}

// Write writes messages in batches of the given size and returns the checkpoint.
func Write(t testing.TB, l *ledger.Ledger, size int, messages []ledger.Message) ledger.Checkpoint {
	t.Helper()
	at, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for batch := range slices.Chunk(messages, size) {
		w, err := l.Write(t.Context(), at, batch)
		if err != nil {
			t.Fatal(err)
		}
		at = w.Checkpoint
	}
	return at
}

// LiveStream is a stream whose clock is the real one, for histories that are
// published: the server stores by its own clock.
func LiveStream() *proceduretest.Stream {
	return &proceduretest.Stream{Now: time.Now().UTC()}
}

// Publish seals the entries and publishes them, in order; each must get the
// sequence that it was built for.
func Publish(t testing.TB, n natstest.Server, entries ...procedure.Entry) {
	t.Helper()
	for _, e := range entries {
		m, err := envelope.Seal(envelopetest.Signer(e.Event.GetWriter()), e.Event)
		if err != nil {
			t.Fatal(err)
		}
		// The server of Conn hears later of a stream that was just made than who made it.
		ack, err := n.JetStream().PublishMsg(t.Context(), m, jetstream.WithRetryAttempts(100))
		if err != nil {
			t.Fatal(err)
		}
		if ack.Sequence != e.Sequence {
			t.Fatalf("event was stored as %d, built as %d", ack.Sequence, e.Sequence)
		}
	}
}
