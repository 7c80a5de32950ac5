package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/blackdice/shipwarden/e2e/rig"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// stage is what was measured with one number of releases on record.
type stage struct {
	recorded              uint64
	plain, gathered, ours []float64 // releases a second
	plainIdle, idle       []float64 // milliseconds
	cpu                   []float64 // milliseconds of this process for a release
	used                  busy
	getRelease, listPage  []float64 // milliseconds, p99 of each round
	loadSteps, idleSteps  steps
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
	set, err := w.configure(rig.Config{
		Dir: filepath.Join(dir, "state"), LogLevel: configv1.Log_LEVEL_ERROR, Workers: uint32(cfg.Workers), //nolint:gosec // A few hundred.
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
	if _, _, _, err := d.load(ctx, cfg.InFlight, cfg.Round/4); err != nil {
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
		if !cfg.wants(PartLoad) {
			continue
		}
		s, err := d.stage(ctx, cfg)
		if err != nil {
			return fmt.Errorf("with %d releases on record: %w", recorded, err)
		}
		stages = append(stages, s)
	}
	if len(stages) > 0 {
		tellLoad(t, stages)
	}
	if !cfg.wants(PartRecord) {
		return nil
	}
	return measureRecord(ctx, cfg, d, set.Dir, t)
}

// stage measures all rounds with what is on record now. Both sides of a ratio are
// measured in each round, one directly after the other.
func (d *driver) stage(ctx context.Context, cfg Config) (stage, error) {
	var s stage
	var err error
	if s.recorded, err = d.onRecord(ctx); err != nil {
		return s, err
	}
	for round := range cfg.Rounds {
		cfg.say("%d releases on record, round %d", s.recorded, round+1)
		plain, plainIdle, err := measurePlain(ctx, d.admin, false, cfg.InFlight, cfg.Round, cfg.Idle)
		if err != nil {
			return s, fmt.Errorf("plain consumers: %w", err)
		}
		gathered, _, err := measurePlain(ctx, d.admin, true, cfg.InFlight, cfg.Round/2, 0)
		if err != nil {
			return s, fmt.Errorf("gathered: %w", err)
		}
		first, err := d.last(ctx)
		if err != nil {
			return s, err
		}
		profiled, err := cfg.profile(fmt.Sprintf("load-%d-%d", s.recorded, round+1))
		if err != nil {
			return s, err
		}
		ours, cpu, used, err := d.load(ctx, cfg.InFlight, cfg.Round)
		profiled()
		if err != nil {
			return s, err
		}
		between, err := d.last(ctx)
		if err != nil {
			return s, err
		}
		if err := d.settled(ctx); err != nil {
			return s, err
		}
		idle, err := d.one(ctx, cfg.Idle)
		if err != nil {
			return s, err
		}
		if err := d.readSteps(ctx, first, between, &s.loadSteps); err != nil {
			return s, err
		}
		if err := d.readSteps(ctx, between, 0, &s.idleSteps); err != nil {
			return s, err
		}
		if err := d.query(ctx, &s); err != nil {
			return s, err
		}
		s.plain, s.gathered, s.ours = append(s.plain, plain), append(s.gathered, gathered), append(s.ours, ours)
		s.plainIdle, s.idle = append(s.plainIdle, millis(median(plainIdle))), append(s.idle, millis(median(idle)))
		s.used, s.cpu = used, append(s.cpu, cpu)
		cfg.say("  plain %.0f/s, gathered %.0f/s, ours %.0f/s; idle plain %.1f ms, ours %.1f ms; %.1f ms cpu a release; %s",
			plain, gathered, ours, millis(median(plainIdle)), millis(median(idle)), cpu, used.bounds())
	}
	return s, nil
}

// tellLoad writes down T1, T2 and T5.
func tellLoad(t *table, stages []stage) {
	few := stages[0]
	for i, s := range stages {
		on := fmt.Sprintf(", %d on record", s.recorded)
		t.add(line{
			id: "T1", figure: "releases a second beside eight plain consumers" + on, ours: s.ours, bound: s.plain, ratio: ratios(s.ours, s.plain),
			unit: "/s", target: 0.5, limited: s.used.bounds(),
		})
		t.add(line{
			id: "", figure: "  the same beside eight consumers that gather", ours: s.ours, bound: s.gathered, ratio: ratios(s.ours, s.gathered), unit: "/s",
		})
		t.add(line{id: "", figure: "  processor time of bus, services and clients for one", ours: s.cpu, unit: " ms"})
		t.add(line{
			id: "T2", figure: "one release, from request to record, p50" + on, ours: s.idle, bound: s.plainIdle, ratio: ratios(s.idle, s.plainIdle),
			unit: " ms", target: 4, atMost: true, limited: "disk sync, one after the other",
		})
		if i == 0 {
			continue
		}
		// Against the plain side of their own rounds, so that a machine that became
		// busier does not count.
		t.add(line{
			id: "T5", figure: fmt.Sprintf("T1 with %d on record beside %d", s.recorded, few.recorded), ours: ratios(s.ours, s.plain),
			bound: ratios(few.ours, few.plain), ratio: []float64{spreadOf(ratios(s.ours, s.plain)).median / spreadOf(ratios(few.ours, few.plain)).median},
			target: 0.9,
		})
		t.add(line{
			id: "T5", figure: fmt.Sprintf("T2 with %d on record beside %d", s.recorded, few.recorded), ours: ratios(s.idle, s.plainIdle),
			bound: ratios(few.idle, few.plainIdle), ratio: []float64{spreadOf(ratios(s.idle, s.plainIdle)).median / spreadOf(ratios(few.idle, few.plainIdle)).median},
			target: 1.1, atMost: true,
		})
		t.add(line{
			id: "T5", figure: "GetRelease p99, the same", ours: s.getRelease, bound: few.getRelease, unit: " ms", target: 2, atMost: true,
			ratio: []float64{spreadOf(s.getRelease).median / spreadOf(few.getRelease).median},
		})
		t.add(line{
			id: "T5", figure: "filtered ListReleases page p99, the same", ours: s.listPage, bound: few.listPage, unit: " ms", target: 2, atMost: true,
			ratio: []float64{spreadOf(s.listPage).median / spreadOf(few.listPage).median},
		})
	}
	last := stages[len(stages)-1]
	t.note("Time from one event of a release to the next, in milliseconds (verification_passed includes the %s of looking):\n%s",
		bake, stepTable(last.loadSteps, last.idleSteps))
}
