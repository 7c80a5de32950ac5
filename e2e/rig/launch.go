package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/executor"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/validator"
)

// Launcher runs one service from its configuration file until the context ends.
type Launcher func(ctx context.Context, service, config string) error

// InProcess runs the services in this process.
func InProcess(ctx context.Context, service, config string) error {
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

// stopGrace is how long a process has to stop when it is asked to.
const stopGrace = 30 * time.Second

// Processes runs the services as processes of their own, from the binaries
// shipwarden-<service> in a folder. What they log goes to the writer.
func Processes(folder string, log io.Writer) Launcher {
	return func(ctx context.Context, service, config string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(folder, "shipwarden-"+service), "-config", config) //nolint:gosec // Our own binaries.
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopGrace
		err := cmd.Run()
		if ctx.Err() != nil {
			var exit *exec.ExitError
			if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &exit) && exit.ExitCode() <= 0 {
				return nil
			}
		}
		return err
	}
}
