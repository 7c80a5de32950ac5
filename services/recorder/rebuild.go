package recorder

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder/rebuild"
)

// errDiffers says that the live record is not what the stream says.
var errDiffers = errors.New("the live record differs from the rebuilt one")

// Rebuild is the subcommand `rebuild`: it records the stream once more, compares
// both records and, with -replace, puts the rebuilt one in place. It returns the
// exit status: 0 where both are the same, 1 where they are not or it failed, 2 for
// a wrong command line or configuration. It takes as long as it takes, and says on
// stderr how far it is.
func Rebuild(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("shipwarden-recorder rebuild", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "configuration `file` of the recorder (required)")
	replace := flags.Bool("replace", false, "put the rebuilt record in place of the live one, which is kept under another name")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return service.ExitOK
	} else if err != nil {
		return service.ExitUsage
	}
	if *path == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "shipwarden-recorder rebuild: give exactly one configuration file, by -config")
		return service.ExitUsage
	}
	cfg, err := Load(*path)
	if err != nil {
		fmt.Fprintf(stderr, "shipwarden-recorder rebuild: %v\n", err)
		return service.ExitUsage
	}
	if err := runRebuild(ctx, cfg, *replace, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "shipwarden-recorder rebuild: %v\n", err)
		return service.ExitFailure
	}
	return service.ExitOK
}

func runRebuild(ctx context.Context, cfg *configv1.Recorder, replace bool, stdout, stderr io.Writer) error {
	ring, err := LoadKeyring(cfg.GetCommon())
	if err != nil {
		return err
	}
	dsn, owner, err := Databases(cfg)
	if err != nil {
		return err
	}
	if owner == "" {
		owner = dsn
	}
	conn, err := service.ConnectNATS(ctx, Name, cfg.GetCommon().GetNats())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	started := time.Now()
	r, err := rebuild.Start(ctx, owner, js, ring, rebuild.WithProgress(newProgress(stderr, time.Now).tell))
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintln(stderr, "comparing both records, row by row")
	report, err := r.Compare(ctx)
	if err != nil {
		return err
	}
	report.Print(stdout)
	seconds := time.Since(started).Seconds()
	fmt.Fprintf(stdout, "%d messages in %.1f s, %.0f a second\n", report.Sequence, seconds, float64(report.Sequence)/seconds)
	if replace {
		kept, err := r.Replace(ctx, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "the rebuilt record is in place; the old one is schema %s\n", kept)
		return nil
	}
	if err := r.Drop(ctx); err != nil {
		return err
	}
	if report.Differs() {
		return errDiffers
	}
	fmt.Fprintln(stdout, "both records are the same")
	return nil
}
