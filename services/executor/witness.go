package executor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/witness"
)

// witnessPatience bounds how long the subcommand waits for the bus.
const witnessPatience = 30 * time.Second

// Witness is the subcommand `witness`: it compares the stream with what the executor has seen
// of it and, with -replace, has the executor take the stream as it is for the one that it has
// seen. It returns the exit status: 0 where both fit or it was replaced, 1 where they do not or
// it failed, 2 for a wrong command line or configuration. The executor may run meanwhile.
func Witness(ctx context.Context, args []string, stdout, stderr io.Writer, options ...nats.Option) int {
	flags := flag.NewFlagSet("shipwarden-executor witness", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "configuration `file` of the executor (required)")
	replace := flags.Bool("replace", false, "take the stream as it is for the one that was seen")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return service.ExitOK
	} else if err != nil {
		return service.ExitUsage
	}
	if *path == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "shipwarden-executor witness: give exactly one configuration file, by -config")
		return service.ExitUsage
	}
	cfg, err := Load(*path)
	if err != nil {
		fmt.Fprintf(stderr, "shipwarden-executor witness: %v\n", err)
		return service.ExitUsage
	}
	if err := runWitness(ctx, cfg, *replace, stdout, options...); err != nil {
		fmt.Fprintf(stderr, "shipwarden-executor witness: %v\n", err)
		return service.ExitFailure
	}
	return service.ExitOK
}

func runWitness(ctx context.Context, cfg *configv1.Executor, replace bool, stdout io.Writer, options ...nats.Option) error {
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
	defer cancel()
	s, err := station.Visit(ctx, procedure.ServiceExecutor, cfg.GetCommon(), options...)
	if err != nil {
		return err
	}
	defer s.Conn.Close()
	if replace {
		return witness.Replace(ctx, s.Store, cfg.GetStateFolder(), s.Now(), stdout)
	}
	return witness.Compare(ctx, s.Store, cfg.GetStateFolder(), s.Now(), stdout)
}
