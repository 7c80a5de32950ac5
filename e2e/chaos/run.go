package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/procedure"
)

// Config says what to do to how many releases.
type Config struct {
	// Releases is how many are asked for, Seed what everything random follows from.
	Releases int
	Seed     uint64
	// Duration bounds the time in which releases are asked for, Settle the time that
	// they have to end once the faults have stopped.
	Duration, Settle time.Duration
	// Interval is the mean time between two faults, Nap the longest extra time for
	// which a process is stopped.
	Interval, Nap time.Duration
	// AckWait is how long the bus waits for a sign of life of whoever has a message.
	// Absent: 1 s.
	AckWait time.Duration
	// Brief stops processes for so short a time that nobody takes over from them.
	Brief bool
	// Blackout is the shortest time between two in which all executors are stopped for
	// longer than an approval is valid. Absent: 45 s.
	Blackout time.Duration
	// Bad is how many of a hundred releases are bad versions. Absent: 16.
	Bad int
	// Fates are those of the first releases that have something to go back to. Absent:
	// some of each.
	Fates []string
	// Service is that of all releases which have something to go back to. Empty: of any.
	Service string
	// Unsigned does without people's signatures, and without anybody who forges them.
	Unsigned bool
	// Quiet does without faults, and Fine without systems around that say no.
	Quiet, Fine bool
	// Spells are those in which systems around say no. Absent: all.
	Spells []string
	// Focus are the failpoints to strike, and Action what to do there; empty for all.
	// FocusOnly does nothing else.
	Focus     []string
	Action    string
	FocusOnly bool
	// Until names counts of the verdict: the run ends as soon as one of them can not be
	// zero any more. Empty: it goes to its end.
	Until []string
	// Overlay replaces sources of the services, as `go build -overlay` takes it.
	Overlay string
	// Root is the folder of the repository, Dir what the run leaves behind; an empty
	// one is made, and removed after a good run.
	Root, Dir string
	Out       io.Writer
}

// ErrBroken says that a promise was broken, or that the run did not do what it is there
// for: a failpoint was never passed, or fewer releases were asked for than demanded.
var ErrBroken = errors.New("chaos has found something")

// run is one run.
type run struct {
	cfg     Config
	plan    plan
	planned map[string]releasePlan // by release
	world   *world
	plant   *plant
	js      jetstream.JetStream
	ring    *envelope.Keyring
	watcher *watcher
	history *history
	began   time.Time
	// missing is what was to happen and did not, found what ended the run early.
	missing []string
	found   *Verdict

	mu    sync.Mutex // guards what follows
	asked int
	// striking is true while there are faults.
	striking bool
}

func (r *run) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.cfg.Out, "%6.1f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// Run carries the releases through the faults and returns the judge's verdict. The
// error is ErrBroken where the verdict is not clean.
func Run(ctx context.Context, cfg Config) (Verdict, error) {
	made := cfg.Dir == ""
	if made {
		dir, err := os.MkdirTemp("", "shipwarden-chaos-")
		if err != nil {
			return Verdict{}, err
		}
		cfg.Dir = dir
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return Verdict{}, err
	}
	if err := os.Chmod(cfg.Dir, 0o755); err != nil { //nolint:gosec // The database's user passes through.
		return Verdict{}, err
	}
	if cfg.Bad == 0 {
		cfg.Bad = 16
	}
	if len(cfg.Fates) == 0 {
		cfg.Fates = certainFates
	}
	if len(cfg.Spells) == 0 {
		cfg.Spells = weathers
	}
	if cfg.AckWait == 0 {
		cfg.AckWait = time.Second
	}
	if cfg.Blackout == 0 {
		cfg.Blackout = 45 * time.Second
	}
	r := &run{cfg: cfg, began: time.Now()}
	r.say("seed %d, %d releases, state in %s", cfg.Seed, cfg.Releases, cfg.Dir)
	verdict, err := r.all(ctx)
	if err == nil && made {
		_ = os.RemoveAll(cfg.Dir)
	}
	return verdict, err
}

func (r *run) all(ctx context.Context) (Verdict, error) {
	if err := r.prepare(ctx); err != nil {
		return Verdict{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.world.serve(ctx); err != nil {
		return Verdict{}, err
	}
	defer r.plant.stop()
	if err := r.plant.start(ctx); err != nil {
		return Verdict{}, err
	}
	conn, err := r.plant.connect()
	if err != nil {
		return Verdict{}, err
	}
	defer conn.Close()
	if r.js, err = jetstream.New(conn); err != nil {
		return Verdict{}, err
	}
	ring, err := r.plant.keyring()
	if err != nil {
		return Verdict{}, err
	}
	if r.ring, err = envelope.NewKeyring(ring); err != nil {
		return Verdict{}, err
	}
	r.watcher = &watcher{js: r.js, ring: r.ring, states: map[string]procedure.State{}}
	r.say("%d processes are up", len(services)*instances+2)
	if err := r.work(ctx); err != nil {
		return Verdict{}, err
	}
	return r.conclude(ctx)
}

// prepare builds the programs and lays everything out.
func (r *run) prepare(ctx context.Context) error {
	r.plan = newPlan(r.cfg.Releases, r.cfg.Bad, r.cfg.Fates, r.cfg.Service, rand.New(rand.NewPCG(r.cfg.Seed, 1))) //nolint:gosec // A test's dice.
	r.planned = map[string]releasePlan{}
	for i, releases := range r.plan.Releases {
		for _, p := range releases {
			r.planned[procedure.ReleaseID(environment, r.plan.Lanes[i].Service, p.Key)] = p
		}
	}
	if err := build(ctx, r.cfg.Root, filepath.Join(r.cfg.Dir, "bin"), r.cfg.Overlay); err != nil {
		return err
	}
	var err error
	if r.world, err = newWorld(r.cfg.Dir, r.plan, min(25*time.Second, r.cfg.Duration*2/3)); err != nil {
		return err
	}
	r.world.unsigned = r.cfg.Unsigned
	log, err := os.OpenFile(filepath.Join(r.cfg.Dir, "services.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	r.plant = &plant{dir: r.cfg.Dir, root: r.cfg.Root, world: r.world, ackWait: r.cfg.AckWait, log: log}
	if r.history, err = newHistory(filepath.Join(r.cfg.Dir, historyName)); err != nil {
		return err
	}
	return r.plant.secrets()
}

// hostile reports whether somebody on the bus copies, reorders and forges: fine weather does
// not keep them from it.
func (c Config) hostile() bool { return !c.Quiet }

// spells reports whether systems around say no by turns.
func (c Config) spells() bool { return !c.Quiet && !c.Fine }

// work carries the releases through the faults, and returns when all have ended or
// the time is up.
func (r *run) work(ctx context.Context) error {
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	var around sync.WaitGroup
	around.Go(func() { r.watcher.run(watching) })
	c, err := newCrowd(r)
	if err != nil {
		return err
	}
	around.Go(func() { c.live(watching) })
	striking, enough := context.WithCancel(ctx)
	f, h := newFaults(r), newHostile(r)
	var bad sync.WaitGroup
	if !r.cfg.Quiet {
		i, err := newImpostor(r)
		if err != nil {
			enough()
			return err
		}
		if !r.cfg.Unsigned {
			bad.Go(func() { i.live(striking) })
		}
		bad.Go(func() { f.live(striking) })
	}
	if r.cfg.hostile() {
		bad.Go(func() { h.live(striking) })
	}
	if r.cfg.spells() {
		bad.Go(func() {
			r.world.weather.live(striking, r.cfg.Spells, rand.New(rand.NewPCG(r.cfg.Seed, 7))) //nolint:gosec // A test's dice.
		})
	}
	bad.Go(func() { r.progress(striking) })
	submit, done := context.WithTimeout(ctx, r.cfg.Duration)
	if len(r.cfg.Until) > 0 {
		around.Go(func() { r.look(watching, done) })
	}
	var lanes sync.WaitGroup
	for i := range r.plan.Lanes {
		lanes.Go(func() { r.lane(submit, submit, i) })
	}
	lanes.Wait()
	done()
	enough()
	bad.Wait()
	r.say("faults end: %s", list(f.counts))
	r.say("the bus was killed at: %s", list(f.atBus))
	r.say("on the bus: %s", list(h.counts))
	if !r.cfg.Quiet {
		r.missing = append(h.missing(), f.missing()...)
	}
	r.report(f)
	r.say("decided too early and refused: %d", c.refused())
	if r.ended() == nil {
		err = r.settle(watching)
	}
	unwatch()
	around.Wait()
	return errors.Join(err, r.history.close())
}

func (r *run) progress(ctx context.Context) {
	for {
		if pause(ctx, 10*time.Second); ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		asked := r.asked
		r.mu.Unlock()
		r.say("%d of %d asked for, %d closed, %d messages", asked, r.cfg.Releases, r.watcher.closed(), r.watcher.at())
	}
}

// report says what ended by itself, which nothing should.
func (r *run) report(f *faults) {
	for _, name := range services {
		for _, p := range r.plant.services[name] {
			if ends, last := p.counts(); ends > 0 {
				r.say("%s ended %d times by itself, the last time: %s", p.name, ends, last)
			}
		}
	}
	never := 0
	for _, p := range failpoint.Points {
		if f.struck[p.Name] == 0 {
			never++
		}
	}
	r.say("%d of %d failpoints were struck at", len(failpoint.Points)-never, len(failpoint.Points))
}
