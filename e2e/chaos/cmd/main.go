// Command chaos carries releases through Shipwarden while everything in it is killed
// and stopped, and judges afterwards whether the promises held. docs/chaos.md says
// how to read what it prints.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/e2e/chaos"
)

func main() {
	// What does not count is what a run is full of.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	cfg := chaos.Config{Out: os.Stdout}
	flag.IntVar(&cfg.Releases, "releases", 300, "how many releases to carry")
	flag.Uint64Var(&cfg.Seed, "seed", 0, "what everything random follows from; 0 picks one")
	flag.DurationVar(&cfg.Duration, "duration", 40*time.Minute, "bound of the time in which releases are asked for; fewer than demanded are a failed run")
	flag.DurationVar(&cfg.Settle, "settle", 2*time.Minute, "bound of the time that releases have to end once the faults have stopped")
	flag.DurationVar(&cfg.Interval, "interval", 500*time.Millisecond, "mean time between two faults")
	flag.DurationVar(&cfg.Nap, "nap", 3*time.Second, "longest time for which a process is stopped, beyond what the bus waits for")
	flag.BoolVar(&cfg.Quiet, "quiet", false, "do without faults")
	flag.StringVar(&cfg.Dir, "dir", "", "folder for the state, which is then kept")
	flag.StringVar(&cfg.Root, "root", ".", "folder of the repository")
	bugs := flag.Bool("bugs", false, "build bugs into the services, one after the other, and see that each is caught")
	only := flag.String("only", "", "with -bugs: only those whose name holds this text")
	flag.Parse()
	if cfg.Seed == 0 && !*bugs {
		cfg.Seed = 1 + rand.Uint64N(1<<31) //nolint:gosec // A seed is no secret.
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *bugs {
		err = chaos.Bugs(ctx, cfg, *only)
	} else {
		_, err = chaos.Run(ctx, cfg)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}
