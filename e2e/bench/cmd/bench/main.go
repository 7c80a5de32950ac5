// Command bench measures Shipwarden beside what bounds it and prints a table; see
// docs/performance.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/blackdice/shipwarden/e2e/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg := bench.Config{Out: os.Stdout, Log: os.Stderr}
	var recorded, parts string
	flag.StringVar(&cfg.Source, "source", ".", "root of the repository")
	flag.IntVar(&cfg.InFlight, "in-flight", 0, "releases under way at a time (default 256)")
	flag.IntVar(&cfg.Workers, "workers", 0, "messages that each step works on at a time under load (default 64)")
	flag.DurationVar(&cfg.Round, "round", 0, "how long each side is measured in a round (default 6s)")
	flag.IntVar(&cfg.Rounds, "rounds", 0, "rounds (default 3)")
	flag.IntVar(&cfg.Idle, "idle", 0, "releases that are measured one after the other in a round (default 25)")
	flag.StringVar(&recorded, "recorded", "1000,100000", "releases on record with which all is measured, rising; 1000,10000 is the short form")
	flag.IntVar(&cfg.Events, "events", 0, "events that are recorded in a round (default 20000)")
	flag.IntVar(&cfg.Waiting, "waiting", 0, "releases that wait for approval (default 1000)")
	flag.DurationVar(&cfg.Rest, "rest", 0, "how long the services are watched at rest (default 10s)")
	flag.StringVar(&cfg.Profile, "profile", "", "folder for processor profiles")
	flag.StringVar(&parts, "parts", strings.Join(bench.Parts, ","), "what is measured")
	flag.Parse()
	for text := range strings.SplitSeq(recorded, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: -recorded: %v\n", err)
			os.Exit(2)
		}
		cfg.Recorded = append(cfg.Recorded, n)
	}
	cfg.Parts = strings.Split(parts, ",")
	if err := bench.Run(ctx, cfg); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1) //nolint:gocritic // Nothing is left to be undone.
	}
}
