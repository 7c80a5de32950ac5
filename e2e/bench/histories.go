package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// histories puts releases on record fast: it writes real releases of this run down
// once more under other names, signed with the services' own keys, in large batches,
// and the recorder records them as it records all others.
type histories struct {
	*driver

	signers   map[string]*envelope.Signer
	templates [][]*releasev1.Event
	copies    int
}

// templates is how many real releases are copied, in turn.
const templates = 64

var errNoTemplate = errors.New("no release went through to its end")

func newHistories(ctx context.Context, d *driver, dir string) (*histories, error) {
	h := &histories{driver: d, signers: map[string]*envelope.Signer{}}
	for _, writer := range []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder} {
		key, err := rig.Key(filepath.Join(dir, "secrets", writer+".pem"))
		if err != nil {
			return nil, err
		}
		if h.signers[writer], err = envelope.NewSigner(writer+"-1", writer, key); err != nil {
			return nil, err
		}
	}
	if err := d.settled(ctx); err != nil {
		return nil, err
	}
	found := map[string][]*releasev1.Event{}
	err := d.read(ctx, 0, 0, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		if !strings.HasPrefix(m.Subject(), "rel.") {
			return nil
		}
		e, err := event(m.Data())
		found[e.GetAggregate()] = append(found[e.GetAggregate()], e)
		return err
	})
	for _, aggregate := range slices.Sorted(func(yield func(string) bool) {
		for a := range found {
			if !yield(a) {
				return
			}
		}
	}) {
		if len(h.templates) < templates && len(found[aggregate]) > len(way) {
			h.templates = append(h.templates, found[aggregate])
		}
	}
	if err == nil && len(h.templates) == 0 {
		err = errNoTemplate
	}
	return h, err
}

// onRecord is how many releases are on record.
func (d *driver) onRecord(ctx context.Context) (uint64, error) {
	c, err := d.rig.Recorder()
	if err != nil {
		return 0, err
	}
	status, err := c.GetStatus(ctx, &recorderv1.GetStatusRequest{})
	return status.GetReleases(), err
}

// fill brings the number of releases on record up to the given one. The services are
// stopped meanwhile, and their durables begin behind what was written: it is history.
func (h *histories) fill(ctx context.Context, cfg Config, recorded int) error {
	have, err := h.onRecord(ctx)
	if err != nil {
		return err
	}
	missing := recorded - int(have) //nolint:gosec // A count of releases.
	if missing <= 0 {
		return nil
	}
	cfg.say("writing down %d releases", missing)
	if err := h.rest(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := h.write(ctx, missing); err != nil {
		return err
	}
	s, err := h.js.Stream(ctx, eventstore.StreamEvents)
	if err != nil {
		return err
	}
	cfg.say("  written in %s, %d MB in the stream; now they are recorded", time.Since(began).Round(time.Millisecond), s.CachedInfo().State.Bytes>>20)
	began = time.Now()
	if err := h.resume(ctx); err != nil {
		return err
	}
	if err := h.recorded(ctx); err != nil {
		return err
	}
	cfg.say("  recorded in %s", time.Since(began).Round(time.Millisecond))
	return nil
}

// rest stops the services once they have nothing left to do.
func (h *histories) rest(ctx context.Context) error {
	if err := h.settled(ctx); err != nil {
		return err
	}
	for name := range h.rig.HTTP {
		if err := h.rig.StopService(name); err != nil {
			return err
		}
	}
	return nil
}

// resume starts the services again, behind what was written meanwhile.
func (h *histories) resume(ctx context.Context) error {
	if err := h.skip(ctx); err != nil {
		return err
	}
	for name := range h.rig.HTTP {
		h.rig.StartService(ctx, name)
		if err := h.rig.WaitReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// recorded waits until the record has come to the end of the stream.
func (h *histories) recorded(ctx context.Context) error {
	last, err := h.last(ctx)
	if err != nil {
		return err
	}
	c, err := h.rig.Recorder()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		status, err := c.GetStatus(ctx, &recorderv1.GetStatusRequest{})
		if err == nil && status.GetAsOfSequence() >= last {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// skip makes every durable anew, behind the end of the stream. Only an admin can do
// this, and nobody does it to a record that counts.
func (h *histories) skip(ctx context.Context) error {
	last, err := h.last(ctx)
	if err != nil {
		return err
	}
	for _, d := range eventstore.NewTopology(1, 0).Durables {
		if d.Stream != eventstore.StreamEvents {
			continue
		}
		if err := h.js.DeleteConsumer(ctx, d.Stream, d.Config.Durable); err != nil {
			return err
		}
		d.Config.DeliverPolicy, d.Config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, last+1
		if _, err := h.js.CreateConsumer(ctx, d.Stream, d.Config); err != nil {
			return fmt.Errorf("make durable %s: %w", d.Config.Durable, err)
		}
	}
	return nil
}
