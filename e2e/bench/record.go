package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/rebuild"
	"github.com/blackdice/shipwarden/services/recorder/record"
)

// benchSchema is the schema that is recorded into, beside the live one.
const benchSchema = "shipwarden_bench"

// copyRows is how many rows one COPY commits.
const copyRows = 1000

func digest(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

// message is what COPY stores of a message: as much as must be stored at least.
type message struct {
	sequence uint64
	subject  string
	stored   time.Time
	body     []byte
}

// measureRecord measures how fast the stream is recorded, beside COPY of the same
// bodies, and how fast the whole record is rebuilt.
func measureRecord(ctx context.Context, cfg Config, d *driver, dir string, t *table) error {
	ring, err := recorder.LoadKeyring(&configv1.Common{KeyringFile: filepath.Join(dir, "config", "keyring.yaml")})
	if err != nil {
		return err
	}
	// The services have nothing to do now, but they are in this process, and so is
	// what they keep in memory.
	for name := range d.rig.HTTP {
		if err := d.rig.StopService(name); err != nil {
			return err
		}
	}
	last, err := d.last(ctx)
	if err != nil {
		return err
	}
	upTo := min(last, uint64(cfg.Events)) //nolint:gosec // A count of events.
	var messages []message
	if err := d.read(ctx, 0, upTo, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		messages = append(messages, message{meta.Sequence.Stream, m.Subject(), meta.Timestamp, m.Data()})
		return nil
	}); err != nil {
		return err
	}
	var ours, bound []float64
	var used busy
	for round := range cfg.Rounds {
		cfg.say("recording %d events, round %d", upTo, round+1)
		plain, err := copyPlain(ctx, d.rig.DatabaseURL, messages)
		if err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		profiled, err := cfg.profile(fmt.Sprintf("record-%d", round+1))
		if err != nil {
			return err
		}
		look := watchMachine()
		took, err := ingest(ctx, d, ring, upTo)
		used = look()
		profiled()
		if err != nil {
			return fmt.Errorf("record: %w", err)
		}
		ours, bound = append(ours, float64(upTo)/took.Seconds()), append(bound, float64(upTo)/plain.Seconds())
		cfg.say("  recorded %.0f/s, COPY %.0f/s; %s", ours[round], bound[round], used.bounds())
	}
	t.add(line{
		id: "T3", figure: fmt.Sprintf("events recorded, beside COPY of %d rows a commit", copyRows), ours: ours, bound: bound, ratio: ratios(ours, bound),
		unit: "/s", target: 0.25, limited: used.bounds(),
	})
	return measureRebuild(ctx, cfg, d, ring, last, t)
}

// ingest records the stream up to a sequence into an empty schema.
func ingest(ctx context.Context, d *driver, ring *envelope.Keyring, upTo uint64) (time.Duration, error) {
	config, err := pgx.ParseConfig(d.rig.DatabaseURL)
	if err != nil {
		return 0, err
	}
	if err := execute(ctx, d.rig.DatabaseURL, "drop schema if exists "+benchSchema+" cascade"); err != nil {
		return 0, err
	}
	if err := migrations.Up(ctx, config, benchSchema); err != nil {
		return 0, err
	}
	l, err := ledger.Open(ctx, d.rig.DatabaseURL, benchSchema)
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

// measureRebuild rebuilds the whole record and watches the memory.
func measureRebuild(ctx context.Context, cfg Config, d *driver, ring *envelope.Keyring, events uint64, t *table) error {
	cfg.say("rebuilding the record of %d events", events)
	runtime.GC()
	heap := watchHeap(ctx)
	look := watchMachine()
	began := time.Now()
	r, err := rebuild.Start(ctx, d.rig.DatabaseURL, d.js, ring)
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	defer r.Close()
	took, used := time.Since(began), look()
	half, most := heap()
	report, err := r.Compare(ctx)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	t.add(line{
		id: "T4", figure: fmt.Sprintf("events a second of a rebuild from %d", events), ours: []float64{float64(events) / took.Seconds()}, unit: "/s",
		target: 20_000, targetUnit: "/s", limited: used.bounds(),
	})
	t.add(line{
		id: "T4", figure: "greatest heap in the second half of it beside the first", ours: []float64{most}, bound: []float64{half}, unit: " MB",
		ratio: []float64{most / half}, target: 1.25, atMost: true,
	})
	if report.Differs() {
		t.note("The rebuilt record differs from the live one.")
	}
	return nil
}

// watchHeap samples the heap; the function returned gives its greatest sizes in the
// first and in the second half of the time, in MB.
func watchHeap(ctx context.Context) func() (first, second float64) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var sizes []float64
	go func() {
		defer close(done)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			sizes = append(sizes, float64(m.HeapInuse)/(1<<20))
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() (float64, float64) {
		cancel()
		<-done
		middle := (len(sizes) + 1) / 2
		second := sizes[middle:]
		if len(second) == 0 {
			second = sizes
		}
		return slices.Max(sizes[:middle]), slices.Max(second)
	}
}
