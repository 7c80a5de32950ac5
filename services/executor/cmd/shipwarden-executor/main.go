// Command shipwarden-executor runs the executor service.
//
//	shipwarden-executor -config executor.yaml
//	shipwarden-executor witness -config executor.yaml [-replace]
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor"
)

func main() {
	executor.Obey()
	if len(os.Args) > 1 && os.Args[1] == "witness" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		status := executor.Witness(ctx, os.Args[2:], os.Stdout, os.Stderr)
		stop()
		os.Exit(status)
	}
	os.Exit(service.Main("shipwarden-executor", executor.Load, executor.Check, func(ctx context.Context, cfg *configv1.Executor) error {
		return executor.Run(ctx, cfg)
	}, "witness -config executor.yaml [-replace]", "compare the stream with what this executor has seen of it"))
}
