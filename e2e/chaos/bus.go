package chaos

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

// killBus kills the NATS server: at each of the places where that matters most once, and
// from then on at random as often as at one of them.
func (f *faults) killBus() {
	f.mu.Lock()
	everywhere := len(f.atBus) == len(failpoint.BusPoints)
	f.mu.Unlock()
	if everywhere && f.random.IntN(2) == 0 {
		f.count("kill nats")
		f.run.plant.nats.signal(syscall.SIGKILL)
		return
	}
	if len(f.buses) == 0 {
		f.buses = slices.Clone(failpoint.BusPoints)
		f.random.Shuffle(len(f.buses), func(i, j int) { f.buses[i], f.buses[j] = f.buses[j], f.buses[i] })
	}
	point := f.buses[0]
	f.buses = f.buses[1:]
	_ = os.WriteFile(f.file(point+".order"), fmt.Appendf(nil, "%s %d", failpoint.Bus, f.run.hits(point)+1), 0o600)
}

// attend kills the bus for processes that stand still at a failpoint until it is dead.
func (f *faults) attend(ctx context.Context) {
	var waking sync.WaitGroup
	defer waking.Wait()
	for {
		files, _ := os.ReadDir(f.file(""))
		for _, file := range files {
			point, pid, ok := takenBy(file.Name())
			if !ok {
				continue
			}
			text, err := os.ReadFile(f.file(file.Name()))
			if err != nil || !strings.HasPrefix(string(text), failpoint.Bus) {
				continue
			}
			f.run.plant.nats.down(context.WithoutCancel(ctx))
			f.mu.Lock()
			f.counts["kill nats at a failpoint"]++
			f.struck[point]++
			f.atBus[point]++
			f.mu.Unlock()
			_ = os.Remove(f.file(file.Name()))
			waking.Go(func() { wake(pid) })
		}
		if ctx.Err() != nil {
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// takenBy tells the failpoint and the process of an order that was taken.
func takenBy(name string) (point string, pid int, ok bool) {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "", 0, false
	}
	pid, err := strconv.Atoi(name[at+1:])
	return name[:at], pid, err == nil
}

// wake lets a process go on that stops itself: for a second, because it may be about to.
func wake(pid int) {
	for range 20 {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		pause(context.Background(), 50*time.Millisecond)
	}
}

// missing is what a full run does, and this one did not: faults of every kind, and the bus
// killed at each of its places.
func (f *faults) missing() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := undone(f.counts)
	for _, point := range failpoint.BusPoints {
		if f.atBus[point] == 0 {
			out = append(out, "the bus was never killed at "+point)
		}
	}
	return out
}
