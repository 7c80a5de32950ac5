package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
)

// busy is what processors did over some time.
type busy struct {
	// own is what this process used, machine what everything on the machine did, in
	// processors; machine is negative where that cannot be known.
	own, machine float64
}

// full is the share of all processors from which on they are what bounds.
const full = 0.85

// bounds says what a measurement ran into.
func (b busy) bounds() string {
	cpus := float64(runtime.NumCPU())
	if b.machine < 0 {
		return fmt.Sprintf("own cpu %.1f of %.0f", b.own, cpus)
	}
	what := "disk sync, waits"
	if b.machine >= full*cpus {
		what = "cpu"
	}
	return fmt.Sprintf("%s (cpu %.1f of %.0f, own %.1f)", what, b.machine, cpus, b.own)
}

// boundsOf says what all rounds ran into: the mean of what was used, and in how many of
// them processors were what bounds where that was not so in all or in none.
func boundsOf(rounds []busy) string {
	if len(rounds) == 0 {
		return ""
	}
	var mean busy
	cpu := 0
	for _, b := range rounds {
		mean.own += b.own / float64(len(rounds))
		mean.machine += b.machine / float64(len(rounds))
		if b.machine >= full*float64(runtime.NumCPU()) {
			cpu++
		}
	}
	text := mean.bounds()
	if cpu > 0 && cpu < len(rounds) {
		text += fmt.Sprintf(", cpu in %d of %d rounds", cpu, len(rounds))
	}
	return text
}

// watchMachine begins to count; the function returned ends it.
func watchMachine() func() busy {
	began, own, all := time.Now(), ownTime(), machineTime()
	return func() busy {
		seconds := time.Since(began).Seconds()
		b := busy{own: (ownTime() - own).Seconds() / seconds, machine: -1}
		if now := machineTime(); all >= 0 && now >= 0 {
			b.machine = (now - all).Seconds() / seconds
		}
		return b
	}
}

func ownTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// tick is the unit of times in /proc on every system that has it.
const tick = 10 * time.Millisecond

// machineTime is what all processors worked since the start; negative where the
// system does not tell.
func machineTime() time.Duration {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return -1
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReader(f).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) < 8 {
		return -1
	}
	var total time.Duration
	for i, field := range fields[1:8] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return -1
		}
		if i != 3 && i != 4 { // idle, and waiting for the disk
			total += time.Duration(n) * tick
		}
	}
	return total
}

// process is what a process of its own uses.
type process struct {
	memory uint64 // bytes in memory
	used   time.Duration
}

func lookAt(pid int) (process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return process{}, err
	}
	var p process
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return process{}, err
			}
			p.memory = kb << 10
		}
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, err
	}
	// The name, in parentheses, may hold spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return process{}, err
		}
		p.used += time.Duration(n) * tick
	}
	return p, nil
}

// profile writes a processor profile of a part, where that is wanted.
func (c Config) profile(part string) (func(), error) {
	if c.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(c.Profile + "/" + part + ".pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// startRig starts a rig. On a busy machine another program may take a port between
// the time when it was found free and the time when it is used.
func startRig(ctx context.Context, cfg rig.Config) (*rig.Rig, error) {
	for try := 1; ; try++ {
		r, err := rig.Start(ctx, cfg)
		if err == nil || try == 3 || !errors.Is(err, syscall.EADDRINUSE) {
			return r, err
		}
	}
}
