package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// The exit statuses of Main.
const (
	// ExitOK means that the service stopped because it was asked to, or that the
	// configuration is valid.
	ExitOK = 0
	// ExitFailure means that the service failed while it ran.
	ExitFailure = 1
	// ExitUsage means that the command line or the configuration is wrong;
	// starting again without a change will not help.
	ExitUsage = 2
	// exitSignal and a signal's number tell which one ended the process, as shells do.
	exitSignal = 128
)

// Main is the whole of a service's main function: os.Exit(service.Main(...)).
//
// It understands -config (the configuration file), -check-config (read it, say
// whether it is valid, and end) and -version. load reads the file; check looks at
// everything that can be known without reaching anybody, the files that it names above
// all, so that -check-config and a start refuse the same; run works until its context
// ends, which happens at SIGTERM or SIGINT. A second signal ends the process at once,
// with status 128 and its number. Main returns the exit status.
//
// A program that can do something else besides names it in also, for its help: how it
// is typed after the name, and what it does.
func Main[C any](
	name string, load func(path string) (C, error), check func(cfg C) error, run func(ctx context.Context, cfg C) error, also ...string,
) int {
	// Both are taken from one channel: were the second left to its default effect,
	// it would be lost while that is being brought back.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-signals
		stop()
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(exitSignal + int(second))
		}
	}()
	return mainWith(ctx, name, os.Args[1:], os.Stdout, os.Stderr, load, check, run, also...)
}

// mainWith is Main without the process around it.
func mainWith[C any](
	ctx context.Context, name string, args []string, stdout, stderr io.Writer,
	load func(string) (C, error), check func(C) error, run func(context.Context, C) error, also ...string,
) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(stderr, "Usage of %s:\n", name)
		flags.PrintDefaults()
		for i := 0; i+1 < len(also); i += 2 {
			_, _ = fmt.Fprintf(stderr, "Also:\n  %s %s\n    \t%s\n", name, also[i], also[i+1])
		}
	}
	path := flags.String("config", "", "configuration `file` (required)")
	only := flags.Bool("check-config", false, "say whether the configuration is valid, and end")
	version := flags.Bool("version", false, "print the version, and end")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return ExitOK
	} else if err != nil {
		return ExitUsage
	}
	if *version {
		_, _ = fmt.Fprintf(stdout, "%s %s\n", name, Build())
		return ExitOK
	}
	if *path == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "%s: give exactly one configuration file, by -config\n", name)
		return ExitUsage
	}
	cfg, err := load(*path)
	if err == nil {
		err = check(cfg)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitUsage
	}
	if *only {
		_, _ = fmt.Fprintf(stdout, "%s: %s is valid\n", name, *path)
		return ExitOK
	}
	logAsConfigured(stderr, name, cfg)
	err = run(ctx, cfg)
	// Whoever is asked to stop while it waits for the bus has done what it was asked.
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailure
	}
	return ExitOK
}

// logAsConfigured makes the process log as its configuration says, and says first what
// it is that runs.
func logAsConfigured(w io.Writer, name string, cfg any) {
	if c, ok := cfg.(interface{ GetCommon() *configv1.Common }); ok {
		slog.SetDefault(NewLogger(w, name, c.GetCommon().GetLog()))
	}
	build := Build()
	slog.Info("starting", slog.String("version", build.Version), slog.String("revision", build.Revision)) //nolint:sloglint // There is no context yet.
}
