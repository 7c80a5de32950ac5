package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set by the linker, so that a version is its own artifact with its own digest.
var (
	version        = "0.0.0-dev"
	unhealthyAfter = "0s"
)

// drain is how long requests that are under way may take after the signal.
const drain = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It prints one line with its address once it listens.
func run(ctx context.Context, arguments []string, out io.Writer) error {
	byDefault, err := time.ParseDuration(unhealthyAfter)
	if err != nil {
		return fmt.Errorf("built with a bad unhealthyAfter: %w", err)
	}
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8080", "address to listen on")
	digest := flags.String("digest", "", "SHA-256 of the artifact that this was started from, as sha256:…")
	after := flags.Duration("unhealthy-after", byDefault, "turn unhealthy after this time; 0: never")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler(*digest, unhealthyFrom(time.Now(), *after), time.Now),
		ReadHeaderTimeout: 5 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(out, "shop %s on http://%s\n", version, listener.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// Shutdown closes the listener first, which frees the port, and then waits.
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// unhealthyFrom is the time from which on the service is unhealthy; zero: never.
func unhealthyFrom(start time.Time, after time.Duration) time.Time {
	if after <= 0 {
		return time.Time{}
	}
	return start.Add(after)
}
