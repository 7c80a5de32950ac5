package record_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// inTurn builds releases whose events come in turn, as they do on a busy day.
func inTurn(tb testing.TB, releases, atATime int) []*nats.Msg {
	tb.Helper()
	s := recordertest.LiveStream()
	var out []*nats.Msg
	for first := 0; first < releases; first += atATime {
		var open []*proceduretest.History
		for i := range atATime {
			open = append(open, s.New(proceduretest.Request(proceduretest.Key(fmt.Sprint("k", first+i)))))
		}
		for len(open) > 0 {
			for _, h := range open {
				person, event := h.Good()
				h.Do(tb, person, event)
				m, err := envelope.Seal(envelopetest.Signer(procedure.WriterOf(procedure.TypeOf(event))), h.Entries[len(h.Entries)-1].Event)
				if err != nil {
					tb.Fatal(err)
				}
				out = append(out, m)
			}
			open = slices.DeleteFunc(open, func(h *proceduretest.History) bool { return h.State().Phase == procedure.PhaseClosed })
		}
	}
	return out
}

// BenchmarkIngest is the way of events from the stream into all projections, on a
// database that waits for the disk; it is compared with COPY of the same bodies.
func BenchmarkIngest(b *testing.B) {
	n := natstest.Single(b)
	eventstoretest.Provision(b, n)
	messages := inTurn(b, 800, 64)
	for i, m := range messages {
		if _, err := n.JetStream().PublishMsgAsync(m); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			<-n.JetStream().PublishAsyncComplete()
		}
	}
	<-n.JetStream().PublishAsyncComplete()
	own := pgtest.StartOwn(b)
	if err := recordertest.Migrate(b.Context(), own.DSN()); err != nil {
		b.Fatal(err)
	}
	b.Run("record", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			conn, err := pgx.Connect(b.Context(), own.DSN())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := conn.Exec(b.Context(), "drop schema shipwarden cascade"); err != nil {
				b.Fatal(err)
			}
			_ = conn.Close(b.Context())
			if err := recordertest.Migrate(b.Context(), own.DSN()); err != nil {
				b.Fatal(err)
			}
			l, err := ledger.Open(b.Context(), own.DSN(), migrations.Schema)
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			r := record.New(n.JetStream(), envelopetest.Ring(), l, nil, nil)
			if err := r.Until(b.Context(), uint64(len(messages))); err != nil {
				b.Fatal(err)
			}
			l.Close()
		}
		b.ReportMetric(float64(b.N)*float64(len(messages))/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("copy", func(b *testing.B) {
		conn, err := pgx.Connect(b.Context(), own.DSN())
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close(b.Context()) }()
		for b.Loop() {
			if _, err := conn.Exec(b.Context(), "drop table if exists plain; create table plain (seq bigint primary key, subject text, stored timestamptz, body bytea)"); err != nil {
				b.Fatal(err)
			}
			seq := int64(0)
			for chunk := range slices.Chunk(messages, 1000) {
				_, err := conn.CopyFrom(b.Context(), pgx.Identifier{"plain"}, []string{"seq", "subject", "stored", "body"},
					pgx.CopyFromSlice(len(chunk), func(i int) ([]any, error) {
						seq++
						return []any{seq, chunk[i].Subject, time.Now(), chunk[i].Data}, nil
					}))
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.N)*float64(len(messages))/b.Elapsed().Seconds(), "events/s")
	})
}
