package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/procedure"
)

// settle waits until every release that is known is closed and on record, or the
// time for that is over.
func (r *run) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Settle)
	defer cancel()
	for quiet := 0; quiet < 5; {
		if pause(ctx, 200*time.Millisecond); r.ended() != nil {
			return nil
		}
		if ctx.Err() != nil {
			r.say("not settled after %s", r.cfg.Settle)
			return nil // What is not settled is for the judge to count.
		}
		newest, err := last(ctx, r.js, eventstore.StreamEvents)
		answered, unheard := r.answered(ctx)
		if unheard != nil || err != nil || newest != r.watcher.at() || len(r.watcher.open()) > 0 || !answered || r.plant.database.recorded(ctx) != newest {
			quiet = 0
			continue
		}
		quiet++
	}
	r.say("settled: %d releases closed", r.watcher.closed())
	return nil
}

// answered reports whether no request waits to be taken in.
func (r *run) answered(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := r.js.Consumer(ctx, eventstore.StreamRequests, string(procedure.StepIntake))
	if err != nil {
		return false, err
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0, nil
}

// conclude asks the judge.
func (r *run) conclude(ctx context.Context) (Verdict, error) {
	if v := r.ended(); v != nil {
		return *v, fmt.Errorf("%w: %s (seed %d, state in %s)", ErrBroken, v, r.cfg.Seed, r.cfg.Dir)
	}
	v, err := judge(ctx, r.js, r.plant.database.url, r.ring, r.world)
	if err != nil {
		return v, fmt.Errorf("judge: %w", err)
	}
	v.Missing = append(v.Missing, r.missing...)
	if !r.cfg.Quiet && !r.cfg.Unsigned && v.Forged == 0 {
		v.Missing = append(v.Missing, "no executor refused anything that was authorized in other people's names")
	}
	if err := r.world.weather.wrong(); err != nil {
		return v, fmt.Errorf("write down the weather: %w", err)
	}
	if r.cfg.spells() {
		v.Missing = append(v.Missing, unheld(v.Held)...)
	}
	if v.Asked < r.cfg.Releases || v.Settled < r.cfg.Releases {
		v.Missing = append(v.Missing, fmt.Sprintf("of %d releases %d were asked for and %d came to their end", r.cfg.Releases, v.Asked, v.Settled))
	}
	for _, p := range failpoint.Points {
		if r.hits(p.Name) == 0 {
			v.Unhit = append(v.Unhit, p.Name)
		}
	}
	for _, note := range v.Notes {
		r.say("%s", note)
	}
	r.say("outcomes: %s", list(v.Outcomes))
	r.say("held by: %s", list(v.Held))
	if len(v.Unhit) > 0 {
		r.say("never passed: %s", strings.Join(v.Unhit, ", "))
	}
	for _, missing := range v.Missing {
		r.say("missing: %s", missing)
	}
	fmt.Fprintln(r.cfg.Out, v)
	if !v.Clean() {
		return v, fmt.Errorf("%w: %s, %d failpoints never passed, %d things missing (seed %d, state in %s)",
			ErrBroken, v, len(v.Unhit), len(v.Missing), r.cfg.Seed, r.cfg.Dir)
	}
	return v, nil
}

func list(counts map[string]int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(out, ", ")
}
