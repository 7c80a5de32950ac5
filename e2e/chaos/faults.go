package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

// faults strikes at random and at the failpoints, until the context ends.
type faults struct {
	run    *run
	random *rand.Rand

	points       []failpoint.Point // in the order in which they are struck next
	buses        []string          // where the bus is killed next
	nats, db     time.Time
	blackout     time.Time
	resting      time.Time // until when a process sleeps that stopped itself
	interval     time.Duration
	databaseDone chan error

	mu sync.Mutex // guards what follows
	// counts of what was done, struck by failpoint, and atBus where the bus was killed.
	counts, struck, atBus map[string]int
}

func (f *faults) count(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what]++
}

func newFaults(r *run) *faults {
	f := &faults{
		run: r, random: rand.New(rand.NewPCG(r.cfg.Seed, 3)), counts: map[string]int{}, //nolint:gosec // A test's dice.
		struck: map[string]int{}, atBus: map[string]int{}, nats: time.Now(), db: time.Now(), blackout: time.Now(), interval: r.cfg.Interval,
		databaseDone: make(chan error, 1),
	}
	f.databaseDone <- nil
	return f
}

func (f *faults) live(ctx context.Context) {
	f.run.mu.Lock()
	f.run.striking = true
	f.run.mu.Unlock()
	attending, enough := context.WithCancel(context.WithoutCancel(ctx))
	var waiter sync.WaitGroup
	waiter.Go(func() { f.attend(attending) })
	for ctx.Err() == nil {
		pause(ctx, f.interval/2+time.Duration(f.random.Int64N(int64(f.interval))))
		f.collect(ctx)
		if ctx.Err() == nil {
			f.strike(ctx)
		}
	}
	f.disarm()
	enough()
	waiter.Wait()
	if err := <-f.databaseDone; err != nil {
		f.run.say("the database did not come back: %v", err)
	}
}

func (f *faults) strike(ctx context.Context) {
	switch dice := f.random.IntN(100); {
	case dice < 50 || f.run.cfg.FocusOnly:
		f.order()
	case dice < 70:
		p := f.victim()
		f.count("kill " + p.name[:len(p.name)-2])
		p.signal(syscall.SIGKILL)
	case dice < 82:
		p := f.victim()
		f.count("stop " + p.name[:len(p.name)-2])
		p.freeze(ctx, f.nap())
	case dice < 88 && time.Since(f.nats) > 6*time.Second:
		f.nats = time.Now()
		f.killBus()
	case dice < 94 && time.Since(f.db) > 8*time.Second:
		f.db = time.Now()
		f.killDatabase(ctx)
	case dice < 98 && time.Since(f.blackout) > f.run.cfg.Blackout:
		// Longer than an approval is valid: what was authorized must expire.
		f.blackout = time.Now()
		f.count("stop all executors")
		for _, p := range f.run.plant.services["executor"] {
			p.freeze(ctx, 17*time.Second)
		}
	}
}

// undone are the faults of a full run that never happened.
func undone(counts map[string]int) []string {
	want := []string{"kill postgres", "failpoint " + failpoint.Kill, "failpoint " + failpoint.Stop, "failpoint " + failpoint.Error}
	for _, service := range services {
		want = append(want, "kill "+service, "stop "+service)
	}
	var out []string
	for _, what := range want {
		if counts[what] == 0 {
			out = append(out, "it never happened: "+what)
		}
	}
	return out
}

func (f *faults) victim() *process {
	all := f.run.plant.services[services[f.random.IntN(len(services))]]
	return all[f.random.IntN(len(all))]
}

// nap is longer than the server waits for a sign of life, or a brief one shorter.
func (f *faults) nap() time.Duration {
	if wait := f.run.plant.ackWait; f.run.cfg.Brief {
		return wait/4 + time.Duration(f.random.Int64N(int64(wait/4)))
	}
	return f.run.plant.ackWait*2 + time.Duration(f.random.Int64N(int64(f.run.cfg.Nap)))
}

func (f *faults) killDatabase(ctx context.Context) {
	select {
	case err := <-f.databaseDone:
		if err != nil {
			f.databaseDone <- err
			return
		}
	default:
		return // still being started
	}
	f.count("kill postgres")
	away := time.Duration(f.random.Int64N(int64(time.Second)))
	go func() { f.databaseDone <- f.run.plant.database.kill(ctx, away) }()
}

// order has a process strike itself at the next failpoint.
func (f *faults) order() {
	if f.run.cfg.Action == failpoint.Stop && time.Now().Before(f.resting) {
		return // Where only stops are ordered, somebody must be left to take over.
	}
	if len(f.points) == 0 {
		f.points = append(f.points, failpoint.Points...)
		if len(f.run.cfg.Focus) > 0 {
			f.points = nil
			for _, p := range failpoint.Points {
				for _, focus := range f.run.cfg.Focus {
					if p.Name == focus {
						f.points = append(f.points, p)
					}
				}
			}
		}
		f.random.Shuffle(len(f.points), func(i, j int) { f.points[i], f.points[j] = f.points[j], f.points[i] })
	}
	p := f.points[0]
	f.points = f.points[1:]
	action := failpoint.Kill
	switch dice := f.random.IntN(10); {
	case f.run.cfg.Action != "":
		action = f.run.cfg.Action
	case dice < 3:
		action = failpoint.Stop
	case dice < 5 && p.Errors:
		action = failpoint.Error
	}
	_ = os.WriteFile(f.file(p.Name+".order"), fmt.Appendf(nil, "%s %d", action, f.run.hits(p.Name)+1+f.random.Int64N(4)), 0o600)
}

// waylay has whoever passes a point next strike itself there, unless somebody is waited
// for already, or the faults are over.
func (r *run) waylay(point string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.striking || len(r.cfg.Focus) > 0 && !slices.Contains(r.cfg.Focus, point) {
		return
	}
	action := r.cfg.Action
	if action == "" {
		action = failpoint.Stop
	}
	file, err := os.OpenFile(filepath.Join(r.plant.dir, "points", point+".order"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(file, "%s %d", action, r.hits(point)+1)
	_ = file.Close()
}

func (f *faults) file(name string) string { return filepath.Join(f.run.plant.dir, "points", name) }

// hits is how often a point was passed.
func (r *run) hits(point string) int64 {
	info, err := os.Stat(filepath.Join(r.plant.dir, "points", point+".hits"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// collect counts the orders that were taken, and lets those go on that stopped.
func (f *faults) collect(ctx context.Context) {
	for _, p := range failpoint.Points {
		taken, _ := filepath.Glob(f.file(p.Name + ".[0-9]*"))
		for _, file := range taken {
			text, err := os.ReadFile(file)
			pid, wrong := strconv.Atoi(file[strings.LastIndexByte(file, '.')+1:])
			if err != nil || wrong != nil || strings.HasPrefix(string(text), failpoint.Bus) {
				continue // Who asks for the bus is attended to at once.
			}
			_ = os.Remove(file)
			action, _, _ := strings.Cut(string(text), " ")
			f.mu.Lock()
			f.counts["failpoint "+action]++
			f.struck[p.Name]++
			f.mu.Unlock()
			if action == failpoint.Stop {
				long := f.nap()
				f.resting = time.Now().Add(long)
				go thaw(ctx, pid, long)
			}
		}
	}
}

// disarm takes back what nobody has taken, and lets everything go on.
func (f *faults) disarm() {
	f.run.mu.Lock()
	f.run.striking = false
	f.run.mu.Unlock()
	for _, p := range failpoint.Points {
		_ = os.Remove(f.file(p.Name + ".order"))
	}
	f.collect(canceled())
	f.run.plant.calm()
}

// canceled is a context that has ended: thaw then does not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
