package rig

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Launcher runs one service from its configuration file until the context ends.
type Launcher func(ctx context.Context, service, config string) error

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
