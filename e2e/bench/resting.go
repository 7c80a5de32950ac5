package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// megabyte is the unit of memory in the table.
const megabyte = 1 << 20

// giveBack is the time in which a service that rests has given back what work took.
const giveBack = 30 * time.Second

// fleet runs the services as processes of their own and knows their ids.
type fleet struct {
	folder string

	mu   sync.Mutex
	pids map[string]int // by service; guarded by mu
}

// launch is a rig.Launcher.
func (f *fleet) launch(ctx context.Context, service, config string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(f.folder, "shipwarden-"+service), "-config", config) //nolint:gosec // Our own binaries.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	f.mu.Lock()
	f.pids[service] = cmd.Process.Pid
	f.mu.Unlock()
	err := cmd.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // It was asked to end.
	}
	return err
}

func (f *fleet) look() (map[string]process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]process{}
	for service, pid := range f.pids {
		p, err := lookAt(pid)
		if err != nil {
			return nil, err
		}
		out[service] = p
	}
	return out, nil
}

// buildBus builds the server's program and returns where it lies.
func buildBus(ctx context.Context, source, folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", folder+"/", "./e2e/natsd") //nolint:gosec // Our own source.
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bus: %w\n%s", err, out)
	}
	return filepath.Join(folder, "natsd"), nil
}

func buildServices(ctx context.Context, source, folder string) error {
	for _, service := range []string{"approval", "validator", "executor", "recorder"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", folder+"/", "github.com/blackdice/shipwarden/services/"+service+"/cmd/shipwarden-"+service) //nolint:gosec // Our own source.
		cmd.Dir = source
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", service, err, out)
		}
	}
	return nil
}

// measureResting watches the services as processes of their own: while nothing
// happens, and while releases wait for people.
func measureResting(ctx context.Context, cfg Config, dir string, t *table) error {
	cfg.say("building the services")
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	f := &fleet{folder: filepath.Join(dir, "bin"), pids: map[string]int{}}
	if err := buildServices(ctx, cfg.Source, f.folder); err != nil {
		return err
	}
	w, err := newWorld(ctx, filepath.Join(dir, "resting-world"), 32)
	if err != nil {
		return err
	}
	defer w.close()
	set, err := w.configure(rig.Config{Dir: filepath.Join(dir, "resting"), LogLevel: configv1.Log_LEVEL_ERROR, Launch: f.launch})
	if err != nil {
		return err
	}
	r, err := startRig(ctx, set)
	if err != nil {
		return err
	}
	defer func() { r.Stop() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := newDriver(ctx, r, w)
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := d.one(ctx, 5); err != nil {
		return err
	}
	if _, err := f.look(); errors.Is(err, os.ErrNotExist) {
		t.note("T6 and T7 are not measured: this system does not tell in /proc what processes use.")
		return nil
	}
	cfg.say("watching the services rest for %s", cfg.Rest)
	idle, idleCPU, err := f.rest(ctx, d, cfg.Rest)
	if err != nil {
		return err
	}
	for _, service := range sortedKeys(idle) {
		t.add(line{
			id: "T6", figure: "memory of " + service + " at rest", ours: []float64{float64(idle[service].memory) / megabyte}, unit: " MB",
			target: 40, targetUnit: " MB", atMost: true,
		})
	}
	for _, service := range sortedKeys(idle) {
		t.add(line{
			id: "T6", figure: "processor of " + service + " at rest", ours: []float64{idleCPU[service]}, unit: " %",
			target: 1, targetUnit: " %", atMost: true,
		})
	}
	// What was used once stays with the process for a while: what waiting costs is
	// compared with processes that have worked before.
	if _, err := d.load(ctx, 16, cfg.Rest); err != nil {
		return err
	}
	worked, idleCPU, err := f.rest(ctx, d, max(cfg.Rest, giveBack))
	if err != nil {
		return err
	}
	cfg.say("letting %d releases wait", cfg.Waiting)
	if err := d.wait(ctx, cfg.Waiting); err != nil {
		return err
	}
	waiting, waitingCPU, err := f.rest(ctx, d, max(cfg.Rest, giveBack))
	if err != nil {
		return err
	}
	var more, used, usedBefore float64
	for _, service := range sortedKeys(waiting) {
		p := waiting[service]
		cfg.say("  %s: %d KB, and %d KB while they wait", service, worked[service].memory>>10, p.memory>>10)
		more += float64(p.memory) - float64(worked[service].memory)
		used += waitingCPU[service]
		usedBefore += idleCPU[service]
	}
	t.add(line{
		id: "T7", figure: fmt.Sprintf("memory of all services for each of %d waiting releases", cfg.Waiting),
		ours: []float64{more / float64(cfg.Waiting) / 1024}, unit: " KB", target: 4, targetUnit: " KB", atMost: true,
		limited: "memory in the system's eyes",
	})
	t.add(line{
		id: "T7", figure: "processor of all services meanwhile, beside none waiting", ours: []float64{used}, bound: []float64{usedBefore}, unit: " %",
	})
	return nil
}

// rest waits until nothing happens any more, and then watches the services.
func (f *fleet) rest(ctx context.Context, d *driver, span time.Duration) (map[string]process, map[string]float64, error) {
	if err := d.settled(ctx); err != nil {
		return nil, nil, err
	}
	before, err := f.look()
	if err != nil {
		return nil, nil, err
	}
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	after, err := f.look()
	if err != nil {
		return nil, nil, err
	}
	used := map[string]float64{}
	for service, p := range after {
		used[service] = 100 * (p.used - before[service].used).Seconds() / span.Seconds()
	}
	return after, used, nil
}

// wait lets releases come as far as their approval.
func (d *driver) wait(ctx context.Context, releases int) error {
	for begun := 0; begun < releases; {
		var trips []*trip
		for range min(32, releases-begun) {
			t, err := d.begin(d.world.places[begun%len(d.world.places)], false)
			if err != nil {
				return err
			}
			begun++
			trips = append(trips, t)
		}
		for _, t := range trips {
			select {
			case <-t.cleared:
			case err := <-d.failed:
				return err
			case <-time.After(patience):
				return fmt.Errorf("%s: %w", t.release, errStalled)
			case <-ctx.Done():
				return ctx.Err()
			}
			d.forget(t)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
