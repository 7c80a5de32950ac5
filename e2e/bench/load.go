package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/rig/inprocess"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// stage is what was measured with one number of releases on record.
type stage struct {
	recorded              uint64
	plain, gathered, ours []float64 // releases a second
	plainIdle, idle       []float64 // milliseconds
	services, bus         []float64 // milliseconds of processor for a release
	used                  []busy
	getRelease, listPage  []float64 // milliseconds, p99 of each round
	loadSteps, idleSteps  steps
	behind                ingested // events recorded while so many are on record
}

// measureLoad carries releases through everything, with few and with many on record.
func measureLoad(ctx context.Context, cfg Config, dir string, t *table) error {
	// Twice as many places as releases at a time: a service is not released again
	// while the end of its last release is still being written down.
	w, err := newWorld(ctx, filepath.Join(dir, "world"), 2*cfg.InFlight)
	if err != nil {
		return err
	}
	defer w.close()
	bus, err := buildBus(ctx, cfg.Source, filepath.Join(dir, "bin"))
	if err != nil {
		return err
	}
	set, err := w.configure(rig.Config{
		BusProgram: bus, Dir: filepath.Join(dir, "state"), Launch: inprocess.Launch, LogLevel: configv1.Log_LEVEL_ERROR, Workers: uint32(cfg.Workers), //nolint:gosec // A few hundred.
	})
	if err != nil {
		return err
	}
	r, err := startRig(ctx, set)
	if err != nil {
		return err
	}
	defer r.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := newDriver(ctx, r, w)
	if err != nil {
		return err
	}
	defer d.close()
	cfg.say("warming up")
	if _, err := d.load(ctx, cfg.InFlight, cfg.Round/4); err != nil {
		return err
	}
	h, err := newHistories(ctx, d, set.Dir)
	if err != nil {
		return err
	}
	var stages []stage
	for _, recorded := range cfg.Recorded {
		if err := h.fill(ctx, cfg, recorded); err != nil {
			return err
		}
		var s stage
		if s.recorded, err = d.onRecord(ctx); err == nil && cfg.wants(PartLoad) {
			err = d.stage(ctx, cfg, &s)
		}
		if err == nil && cfg.wants(PartRecord) {
			s.behind, err = h.measureBehind(ctx, cfg, set.Dir)
		}
		if err != nil {
			return fmt.Errorf("with %d releases on record: %w", recorded, err)
		}
		stages = append(stages, s)
	}
	if cfg.wants(PartLoad) {
		tellLoad(t, stages)
	}
	if !cfg.wants(PartRecord) {
		return nil
	}
	for _, s := range stages {
		s.behind.tell(t, fmt.Sprintf("events recorded behind %d releases on record", s.recorded))
	}
	return measureRecord(ctx, cfg, d, set.Dir, t)
}

// stage measures all rounds with what is on record now. Both sides of a ratio are
// measured in each round, one directly after the other, and begin in turn.
func (d *driver) stage(ctx context.Context, cfg Config, s *stage) error {
	for round := range cfg.Rounds {
		cfg.say("%d releases on record, round %d", s.recorded, round+1)
		sides := []func(context.Context, Config, int) error{s.theirs(d), s.our(d)}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(ctx, cfg, round); err != nil {
				return err
			}
		}
		if err := d.query(ctx, s); err != nil {
			return err
		}
		cfg.say("  plain %.0f/s, gathered %.0f/s, ours %.0f/s; idle plain %.1f ms, ours %.1f ms; cpu a release: services %.1f ms, bus %.1f ms; %s",
			s.plain[round], s.gathered[round], s.ours[round], s.plainIdle[round], s.idle[round], s.services[round], s.bus[round], s.used[round].bounds())
	}
	return nil
}

// theirs measures the bounds for one round.
func (s *stage) theirs(d *driver) func(context.Context, Config, int) error {
	return func(ctx context.Context, cfg Config, _ int) error {
		plain, idle, err := measurePlain(ctx, d.admin, false, cfg.InFlight, cfg.Round, cfg.Idle)
		if err != nil {
			return fmt.Errorf("plain consumers: %w", err)
		}
		gathered, _, err := measurePlain(ctx, d.admin, true, cfg.InFlight, cfg.Round/2, 0)
		if err != nil {
			return fmt.Errorf("gathered: %w", err)
		}
		s.plain, s.gathered, s.plainIdle = append(s.plain, plain), append(s.gathered, gathered), append(s.plainIdle, millis(median(idle)))
		return nil
	}
}

// our measures ourselves for one round, and how long each step took in it.
func (s *stage) our(d *driver) func(context.Context, Config, int) error {
	return func(ctx context.Context, cfg Config, round int) error {
		first, err := d.last(ctx)
		if err != nil {
			return err
		}
		profiled, err := cfg.profile(fmt.Sprintf("load-%d-%d", s.recorded, round+1))
		if err != nil {
			return err
		}
		under, err := d.load(ctx, cfg.InFlight, cfg.Round)
		profiled()
		if err != nil {
			return err
		}
		between, err := d.last(ctx)
		if err != nil {
			return err
		}
		if err := d.settled(ctx); err != nil {
			return err
		}
		idle, err := d.one(ctx, cfg.Idle)
		if err != nil {
			return err
		}
		s.ours, s.used, s.idle = append(s.ours, under.rate), append(s.used, under.used), append(s.idle, millis(median(idle)))
		s.services, s.bus = append(s.services, under.services), append(s.bus, under.bus)
		if err := d.readSteps(ctx, first, between, &s.loadSteps); err != nil {
			return err
		}
		return d.readSteps(ctx, between, 0, &s.idleSteps)
	}
}

// tellLoad writes down T1, T2 and T5.
func tellLoad(t *table, stages []stage) {
	few := stages[0]
	for i, s := range stages {
		on := fmt.Sprintf(", %d on record", s.recorded)
		t.add(line{
			id: "T1", figure: "releases a second beside eight plain consumers" + on, ours: s.ours, bound: s.plain, ratio: ratios(s.ours, s.plain),
			unit: "/s", target: 0.5, limited: boundsOf(s.used),
		})
		t.add(line{
			id: "", figure: "  the same beside eight consumers that gather", ours: s.ours, bound: s.gathered, ratio: ratios(s.ours, s.gathered), unit: "/s",
		})
		t.add(line{id: "", figure: "  processor time of services and clients for one", ours: s.services, unit: " ms"})
		if slices.Max(s.bus) > 0 { // else this system does not tell it
			t.add(line{id: "", figure: "  processor time of the bus for one", ours: s.bus, unit: " ms"})
		}
		t.add(line{
			id: "T2", figure: "one release, from request to record, p50" + on, ours: s.idle, bound: s.plainIdle, ratio: ratios(s.idle, s.plainIdle),
			unit: " ms", target: 4, atMost: true, limited: "disk sync, one after the other",
		})
		if i == 0 {
			continue
		}
		// Against the plain side of their own rounds, so that a machine that became
		// busier does not count; round by round, so that the spread is seen.
		more, less := ratios(s.ours, s.plain), ratios(few.ours, few.plain)
		t.add(line{
			id: "T5", figure: fmt.Sprintf("T1 with %d on record beside %d", s.recorded, few.recorded),
			ours: more, bound: less, ratio: ratios(more, less), target: 0.9,
		})
		more, less = ratios(s.idle, s.plainIdle), ratios(few.idle, few.plainIdle)
		t.add(line{
			id: "T5", figure: fmt.Sprintf("T2 with %d on record beside %d", s.recorded, few.recorded),
			ours: more, bound: less, ratio: ratios(more, less), target: 1.1, atMost: true,
		})
		t.add(line{
			id: "T5", figure: "GetRelease p99, the same", ours: s.getRelease, bound: few.getRelease, unit: " ms",
			ratio: ratios(s.getRelease, few.getRelease), target: 2, atMost: true,
		})
		t.add(line{
			id: "T5", figure: "filtered ListReleases page p99, the same", ours: s.listPage, bound: few.listPage, unit: " ms",
			ratio: ratios(s.listPage, few.listPage), target: 2, atMost: true,
		})
	}
	for _, s := range stages {
		t.note("Time from one event of a release to the next with %d on record, in milliseconds (verification_passed includes the %s of looking):\n%s",
			s.recorded, bake, stepTable(s.loadSteps, s.idleSteps))
	}
}
