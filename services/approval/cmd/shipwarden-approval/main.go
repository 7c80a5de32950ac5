// Command shipwarden-approval runs the approval service.
package main

import (
	"context"
	"os"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval"
)

func main() {
	os.Exit(service.Main("shipwarden-approval", approval.Load, approval.Check, func(ctx context.Context, cfg *configv1.Approval) error {
		return approval.Run(ctx, cfg)
	}))
}
