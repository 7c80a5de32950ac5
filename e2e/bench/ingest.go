package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

// benchSchema is the schema that is recorded into, beside the live one.
const benchSchema = "shipwarden_bench"

// copyRows is how many rows one COPY commits.
const copyRows = 1000

// ingested is how many events a second were recorded, and how many COPY took, by round.
type ingested struct {
	ours, bound []float64
	used        []busy
}

func (i ingested) tell(t *table, figure string) {
	t.add(line{
		id: "T3", figure: fmt.Sprintf("%s, beside COPY of %d rows a commit", figure, copyRows), ours: i.ours, bound: i.bound, ratio: ratios(i.ours, i.bound),
		unit: "/s", target: 0.25, limited: boundsOf(i.used),
	})
}

// round measures both sides once with the events behind a sequence and up to another
// one, into a schema whose record ends at the first. They begin in turn.
func (i *ingested) round(ctx context.Context, cfg Config, d *driver, ring *envelope.Keyring, schema string, after, upTo uint64) error {
	messages, err := d.messages(ctx, after, upTo)
	if err != nil {
		return err
	}
	round, events := len(i.ours), float64(len(messages))
	theirs := func() error {
		took, err := copyPlain(ctx, d.rig.DatabaseURL, messages)
		i.bound = append(i.bound, events/took.Seconds())
		return err
	}
	ours := func() error {
		profiled, err := cfg.profile(fmt.Sprintf("record-%d-%d", after, round+1))
		if err != nil {
			return err
		}
		look := watchMachine()
		took, err := ingest(ctx, d, ring, schema, upTo)
		i.used = append(i.used, look())
		profiled()
		i.ours = append(i.ours, events/took.Seconds())
		return err
	}
	sides := []func() error{theirs, ours}
	if round%2 == 1 {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := side(); err != nil {
			return fmt.Errorf("record %d events: %w", len(messages), err)
		}
	}
	cfg.say("  recorded %.0f/s, COPY %.0f/s; %s", i.ours[round], i.bound[round], i.used[round].bounds())
	return nil
}

// measureBehind measures how fast events are recorded behind all that is on record: in
// every round so many copies of releases are written, and recorded into the live schema
// while the services stand still.
func (h *histories) measureBehind(ctx context.Context, cfg Config, dir string) (ingested, error) {
	var out ingested
	ring, err := keyring(dir)
	if err != nil {
		return out, err
	}
	if err := h.rest(ctx); err != nil {
		return out, err
	}
	for round := range cfg.Rounds {
		cfg.say("recording behind what is on record, round %d", round+1)
		after, err := h.last(ctx)
		if err != nil {
			return out, err
		}
		if err := h.write(ctx, max(1, cfg.Events/behindShare/len(way))); err != nil {
			return out, err
		}
		upTo, err := h.last(ctx)
		if err != nil {
			return out, err
		}
		if err := out.round(ctx, cfg, h.driver, ring, migrations.Schema, after, upTo); err != nil {
			return out, err
		}
	}
	return out, h.resume(ctx)
}

// behindShare is the part of Config.Events that is recorded behind what is on record: it
// is a small one, because it stays there.
const behindShare = 4

func digest(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

// message is what COPY stores of a message: as much as must be stored at least.
type message struct {
	sequence uint64
	subject  string
	stored   time.Time
	body     []byte
}

// messages are those behind a sequence and up to another one.
func (d *driver) messages(ctx context.Context, after, upTo uint64) ([]message, error) {
	var all []message
	return all, d.read(ctx, after, upTo, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		all = append(all, message{meta.Sequence.Stream, m.Subject(), meta.Timestamp, m.Data()})
		return nil
	})
}

// empty makes an empty schema to record into.
func empty(ctx context.Context, d *driver) error {
	config, err := pgx.ParseConfig(d.rig.DatabaseURL)
	if err != nil {
		return err
	}
	if err := execute(ctx, d.rig.DatabaseURL, "drop schema if exists "+benchSchema+" cascade"); err != nil {
		return err
	}
	return migrations.Up(ctx, config, benchSchema)
}

// ingest records the stream up to a sequence into a schema.
func ingest(ctx context.Context, d *driver, ring *envelope.Keyring, schema string, upTo uint64) (time.Duration, error) {
	l, err := ledger.Open(ctx, d.rig.DatabaseURL, schema)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	began := time.Now()
	err = record.New(d.js, ring, l, nil, nil).Until(ctx, upTo)
	return time.Since(began), err
}

// copyPlain copies the messages into a table with nothing but a primary key.
func copyPlain(ctx context.Context, dsn string, messages []message) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `drop table if exists plain;
		create table plain (seq bigint primary key, subject text, stored timestamptz, body bytea)`); err != nil {
		return 0, err
	}
	began := time.Now()
	for chunk := range slices.Chunk(messages, copyRows) {
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"plain"}, []string{"seq", "subject", "stored", "body"},
			pgx.CopyFromSlice(len(chunk), func(i int) ([]any, error) {
				return []any{chunk[i].sequence, chunk[i].subject, chunk[i].stored, chunk[i].body}, nil
			}))
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func execute(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
