package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/recorder/rebuild"
)

// keyring is that of a rig in a folder.
func keyring(dir string) (*envelope.Keyring, error) {
	return recorder.LoadKeyring(&configv1.Common{KeyringFile: filepath.Join(dir, "config", "keyring.yaml")})
}

// measureRecord measures how fast the stream is recorded from its beginning, beside COPY
// of the same bodies, and how fast the whole record is rebuilt.
func measureRecord(ctx context.Context, cfg Config, d *driver, dir string, t *table) error {
	ring, err := keyring(dir)
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
	var all ingested
	for round := range cfg.Rounds {
		cfg.say("recording %d events into an empty schema, round %d", upTo, round+1)
		if err := empty(ctx, d); err != nil {
			return err
		}
		if err := all.round(ctx, cfg, d, ring, benchSchema, 0, upTo); err != nil {
			return err
		}
	}
	all.tell(t, "events recorded into an empty schema")
	return measureRebuild(ctx, cfg, d, ring, last, t)
}

// measureRebuild rebuilds the whole record and watches the memory.
func measureRebuild(ctx context.Context, cfg Config, d *driver, ring *envelope.Keyring, events uint64, t *table) error {
	cfg.say("rebuilding the record of %d events", events)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	t.note("Before the rebuild %d MB of the heap were in use.", before.HeapInuse>>20)
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
