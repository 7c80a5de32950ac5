// Command shipwarden-validator runs the validator service.
package main

import (
	"context"
	"os"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator"
)

func main() {
	os.Exit(service.Main("shipwarden-validator", validator.Load, validator.Check, func(ctx context.Context, cfg *configv1.Validator) error {
		return validator.Run(ctx, cfg)
	}))
}
