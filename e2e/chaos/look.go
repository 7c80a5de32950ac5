package chaos

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// lookEvery is the time between two looks of a judge who does not wait for the end.
const lookEvery = 4 * time.Second

// look judges while the run goes on, and ends it when one of the counts in question can
// not be zero any more: what is stuck is not, and what is lost only where somebody was
// told something else.
func (r *run) look(ctx context.Context, end context.CancelFunc) {
	for r.ended() == nil {
		if pause(ctx, lookEvery); ctx.Err() != nil {
			return
		}
		v, err := r.glance(ctx)
		if err != nil {
			continue // The bus or the database is away, which is what a run is for.
		}
		counts := v.Counts()
		if slices.ContainsFunc(r.cfg.Until, func(name string) bool { return counts[name] > 0 }) {
			r.mu.Lock()
			r.found = &v
			r.mu.Unlock()
			end()
		}
	}
}

// ended is what ended the run before its time; nil where nothing did.
func (r *run) ended() *Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

// glance judges what is there now. The ledgers are read first, and then the stream up to
// where it has come by then.
func (r *run) glance(ctx context.Context) (Verdict, error) {
	b, err := newBench(ctx, r.js, r.world)
	if err != nil {
		return Verdict{}, err
	}
	newest, err := last(ctx, r.js, eventstore.StreamEvents)
	for err == nil && r.watcher.at() < newest {
		pause(ctx, 20*time.Millisecond)
		err = ctx.Err()
	}
	if err != nil {
		return Verdict{}, err
	}
	b.messages = r.watcher.messages()
	if b.said, err = readWeather(r.world.dir); err != nil {
		return Verdict{}, err
	}
	b.fold(r.ring)
	b.always()
	return b.Verdict, b.record(ctx, r.plant.database.url, false)
}
