package bench

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// way is every event of a release that goes well, in order.
var way = []string{
	"requested", "gates_confirmed", "scope_validated", "change_previewed", "risk_cleared", "approval_given", "authorized", "notified",
	"execution_claimed", "execution_finished", "verification_passed", "targets_released", "recorded",
}

// steps are the times that events came after the one before, by type, and the whole
// from the first to the last.
type steps struct {
	after map[string][]time.Duration
	whole []time.Duration
}

// last is the stream's last sequence.
func (d *driver) last(ctx context.Context) (uint64, error) {
	s, err := d.js.Stream(ctx, eventstore.StreamEvents)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// read hands over every message of the stream behind a sequence and up to another
// one; 0 stands for the last there is.
func (d *driver) read(ctx context.Context, after, upTo uint64, each func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	if upTo == 0 {
		var err error
		if upTo, err = d.last(ctx); err != nil {
			return err
		}
	}
	if after >= upTo {
		return nil
	}
	consumer, err := d.js.OrderedConsumer(ctx, eventstore.StreamEvents, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := each(m, meta); err != nil {
			return err
		}
		if meta.Sequence.Stream >= upTo {
			return nil
		}
	}
}

// readSteps adds up the times of the releases that began behind one sequence and
// ended up to another.
func (d *driver) readSteps(ctx context.Context, after, upTo uint64, into *steps) error {
	type seen struct{ began, last time.Time }
	releases := map[string]*seen{}
	if into.after == nil {
		into.after = map[string][]time.Duration{}
	}
	return d.read(ctx, after, upTo, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		token := strings.Split(m.Subject(), ".")
		if token[0] != "rel" {
			return nil
		}
		at, kind := meta.Timestamp, token[3]
		s := releases[token[1]]
		if s == nil {
			if kind == "requested" {
				releases[token[1]] = &seen{began: at, last: at}
			}
			return nil
		}
		if s.last.IsZero() {
			return nil // What comes behind the record is nobody's wait.
		}
		into.after[kind] = append(into.after[kind], at.Sub(s.last))
		s.last = at
		if kind == "recorded" {
			into.whole = append(into.whole, at.Sub(s.began))
			s.last = time.Time{}
		}
		return nil
	})
}

func stepTable(load, idle steps) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "event\tload p50\tload p99\tidle p50\tidle p99\t")
	row := func(name string, load, idle []time.Duration) {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name,
			millis(quantile(load, .5)), millis(quantile(load, .99)), millis(quantile(idle, .5)), millis(quantile(idle, .99)))
	}
	for _, kind := range way[1:] {
		row(kind, load.after[kind], idle.after[kind])
	}
	row("requested … recorded", load.whole, idle.whole)
	_ = w.Flush()
	return out.String()
}

// settled waits until the services have nothing left to do: until every durable has
// been acknowledged to its end.
func (d *driver) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for _, durable := range eventstore.NewTopology(1, 0).Durables {
		for {
			c, err := d.js.Consumer(ctx, durable.Stream, durable.Config.Durable)
			if err != nil {
				return err
			}
			if i := c.CachedInfo(); i.NumPending == 0 && i.NumAckPending == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for %s: %w", durable.Config.Durable, ctx.Err())
			case <-ticker.C:
			}
		}
	}
	return nil
}
