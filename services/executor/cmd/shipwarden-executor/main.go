// Command shipwarden-executor runs the executor service.
package main

import (
	"context"
	"os"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor"
)

func main() {
	os.Exit(service.Main("shipwarden-executor", executor.Load, executor.Check, func(ctx context.Context, cfg *configv1.Executor) error {
		return executor.Run(ctx, cfg)
	}))
}
