package argv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

var (
	// ErrExit says that the command ended by itself, with another status than 0.
	ErrExit = errors.New("command failed")
	// ErrKilled says that the command did not end by itself: its time was over, its
	// context ended, or somebody killed it. How far it came is not known.
	ErrKilled = errors.New("command killed")
	// ErrStart says that the command could not be started. Nothing ran.
	ErrStart = errors.New("command not started")
)

// ExitError is the status with which a command ended by itself. It is an ErrExit.
type ExitError struct{ Status int }

// Error says the status.
func (e ExitError) Error() string { return fmt.Sprintf("exit status %d: %v", e.Status, ErrExit) }

// Unwrap returns ErrExit.
func (ExitError) Unwrap() error { return ErrExit }

// pipeGrace is how long the output is waited for when the command has ended and
// something that it left running holds its output open.
const pipeGrace = 500 * time.Millisecond

// Run says how to run an expanded command.
type Run struct {
	// Path is the executable; "" for the first element of Argv.
	Path string
	// Name is what errors call it; "" for Path.
	Name string
	// Argv is the vector, with the name of the program.
	Argv []string
	// Folder is the working directory.
	Folder string
	// DieWithUs ends the command when this process is killed, where the system can
	// do that (Linux); elsewhere it goes on by itself.
	DieWithUs bool
	// In is what it reads; nil for nothing.
	In io.Reader
	// Out takes what it prints as it comes; what it says of errors alone is its output
	// then. nil for all of it together. A write that fails closes what it prints to.
	Out io.Writer
	// LeaveNothing ends what the command left running in its group when it has ended.
	LeaveNothing bool
}

// Run runs the command in a process group of its own, with no input but that of
// run, and waits for its end. The group is killed when the timeout or ctx ends. What the command
// leaves running on purpose must have a session and an output of its own. The
// output is of use beside an error too, which wraps ErrExit, ErrKilled or
// ErrStart.
func (c *Command) Run(ctx context.Context, run Run) (Output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("not done after %s", c.timeout))
	defer cancel()
	path := run.Path
	if path == "" {
		path = run.Argv[0]
	}
	name := run.Name
	if name == "" {
		name = path
	}
	cmd := exec.CommandContext(ctx, path) //nolint:gosec // the configuration names it, and the driver checks it
	cmd.Args = run.Argv
	cmd.Dir = run.Folder
	cmd.Env = c.env
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would inherit ours
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if run.DieWithUs {
		defer dieWithUs(cmd.SysProcAttr)()
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	out := newCollector()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = run.In, out, out
	if run.Out != nil {
		cmd.Stdout = run.Out
	}
	if err := cmd.Start(); err != nil {
		return Output{}, fmt.Errorf("%s: %w: %w", name, ErrStart, err)
	}
	err := cmd.Wait()
	if ctx.Err() != nil || run.LeaveNothing {
		// Killed as a group, but not every member need be gone when the first is.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	output := out.output()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return output, nil
	case ctx.Err() != nil:
		return output, fmt.Errorf("%s: %w: %w", name, ErrKilled, context.Cause(ctx))
	case errors.As(err, &exit) && exit.Exited():
		return output, fmt.Errorf("%s: %w", name, ExitError{exit.ExitCode()})
	}
	return output, fmt.Errorf("%s: %w: %w", name, ErrKilled, err)
}
