package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// Config says how much to measure. Every field of the zero value has a default.
type Config struct {
	// Source is the root of the repository, of which the services are built.
	Source string
	// InFlight is how many releases are under way at a time under load.
	InFlight int
	// Workers is how many messages each step of each service works on at a time
	// under load.
	Workers int
	// Round is how long each side is measured in a round, Rounds how often.
	Round  time.Duration
	Rounds int
	// Idle is how many releases are measured one after the other.
	Idle int
	// Recorded are the numbers of releases on record with which all is measured, in
	// rising order.
	Recorded []int
	// Events is how many events are ingested in each round, at most those there are.
	Events int
	// Waiting is how many releases wait for approval while memory is measured.
	Waiting int
	// Rest is how long processes are watched while nothing happens.
	Rest time.Duration
	// Profile is a folder for processor profiles of each part; empty means none.
	Profile string
	// Parts are those to be measured; none means all of them.
	Parts []string
	// Out gets the table, Log what is being done.
	Out, Log io.Writer
}

// The parts of a run.
const (
	PartLoad    = "load"
	PartRecord  = "record"
	PartResting = "resting"
	PartStart   = "start"
)

// Parts are all parts, in order.
var Parts = []string{PartLoad, PartRecord, PartResting, PartStart}

func (c Config) complete() Config {
	def := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	def(&c.InFlight, 256)
	def(&c.Workers, 64)
	def(&c.Rounds, 3)
	def(&c.Idle, 25)
	def(&c.Events, 20_000)
	def(&c.Waiting, 1000)
	if c.Round <= 0 {
		c.Round = 6 * time.Second
	}
	if c.Rest <= 0 {
		c.Rest = 10 * time.Second
	}
	if len(c.Recorded) == 0 {
		c.Recorded = []int{1000, 100_000}
	}
	if len(c.Parts) == 0 {
		c.Parts = Parts
	}
	if c.Source == "" {
		c.Source = "."
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

func (c Config) say(format string, args ...any) { fmt.Fprintf(c.Log, format+"\n", args...) }

func (c Config) wants(part string) bool {
	for _, p := range c.Parts {
		if p == part {
			return true
		}
	}
	return false
}

// Run measures and prints the table. It fails where something did not work, and
// never because of a figure.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.complete()
	// The services of this process log as they are configured to: errors.
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(cfg.Log, &slog.HandlerOptions{Level: slog.LevelError})))
	defer slog.SetDefault(before)
	began := time.Now()
	dir, err := os.MkdirTemp("", "shipwarden-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // The database's user passes through.
		return err
	}
	t := &table{}
	if cfg.wants(PartLoad) || cfg.wants(PartRecord) {
		err = measureLoad(ctx, cfg, dir, t)
	}
	if err == nil && cfg.wants(PartResting) {
		err = measureResting(ctx, cfg, dir, t)
	}
	if err == nil && cfg.wants(PartStart) {
		err = measureStart(ctx, cfg, dir, t)
	}
	t.print(cfg.Out, cfg, time.Since(began))
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
