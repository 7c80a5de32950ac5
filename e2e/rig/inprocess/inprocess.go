// Package inprocess runs the services of a rig in this process. It is a room of its own because it
// links all of them, with every driver and what that needs of Kubernetes, Helm and Terraform:
// whoever runs them as processes does without.
package inprocess

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/executor"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/validator"
)

// Launch is a rig.Launcher that runs the services in this process.
func Launch(ctx context.Context, service, config string) error {
	switch service {
	case procedure.ServiceApproval:
		cfg, err := approval.Load(config)
		if err != nil {
			return err
		}
		return approval.Run(ctx, cfg)
	case procedure.ServiceValidator:
		cfg, err := validator.Load(config)
		if err != nil {
			return err
		}
		return validator.Run(ctx, cfg)
	case procedure.ServiceExecutor:
		cfg, err := executor.Load(config)
		if err != nil {
			return err
		}
		return executor.Run(ctx, cfg)
	case procedure.ServiceRecorder:
		cfg, err := recorder.Load(config)
		if err != nil {
			return err
		}
		return recorder.Run(ctx, cfg, recorder.Deps{})
	}
	return fmt.Errorf("no service %q", service)
}
