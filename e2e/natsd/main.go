// Command natsd is the NATS server of a chaos run or a bench: a process of its own, so
// that it can be killed and started again on its store, and so that what it uses is
// told apart from what the services use.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/blackdice/shipwarden/internal/natsserver"
)

func main() {
	file := flag.String("config", "", "JSON file with a natsserver.Config; it holds passwords")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var cfg natsserver.Config
	if err := json.Unmarshal(text, &cfg); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	server, err := natsserver.Start(ctx, cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
