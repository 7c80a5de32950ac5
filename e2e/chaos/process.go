package chaos

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a program that is started again whenever it ends.
type process struct {
	name   string
	binary string
	args   []string
	env    []string
	log    io.Writer
	// pause is how long it stays away after it ended.
	pause time.Duration

	mu  sync.Mutex
	pid int
	// ends counts how often it ended by itself, not killed.
	ends    int
	lastEnd string
}

// run keeps the process running until the context ends.
func (p *process) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		p.once(ctx)
		timer := time.NewTimer(p.pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (p *process) once(ctx context.Context) {
	cmd := exec.Command(p.binary, p.args...) //nolint:gosec,noctx // Our own binaries; it is ended below.
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.env, p.log, p.log, attributes()
	if err := cmd.Start(); err != nil {
		p.ended(err)
		return
	}
	p.mu.Lock()
	p.pid = cmd.Process.Pid
	p.mu.Unlock()
	unwatch := context.AfterFunc(ctx, func() { p.signal(syscall.SIGCONT); p.signal(syscall.SIGKILL) })
	err := cmd.Wait()
	unwatch()
	p.mu.Lock()
	p.pid = 0
	p.mu.Unlock()
	if ctx.Err() == nil {
		p.ended(err)
	}
}

func (p *process) ended(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return
		}
	}
	p.ends++
	p.lastEnd = "ended without an error"
	if err != nil {
		p.lastEnd = err.Error()
	}
}

// signal sends a signal to the process, if there is one.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid > 0 {
		_ = syscall.Kill(p.pid, s)
	}
}

// freeze stops the process for a while.
func (p *process) freeze(ctx context.Context, long time.Duration) {
	pid := p.current()
	p.signal(syscall.SIGSTOP)
	go thaw(ctx, pid, long)
}

// thaw lets a stopped process go on after a while, and when the context ends.
func thaw(ctx context.Context, pid int, long time.Duration) {
	if pid <= 0 {
		return
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	_ = syscall.Kill(pid, syscall.SIGCONT)
}

func (p *process) counts() (ends int, lastEnd string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends, p.lastEnd
}

// down kills the process and returns when it is gone.
func (p *process) down(ctx context.Context) {
	pid := p.current()
	p.signal(syscall.SIGKILL)
	for pid > 0 && ctx.Err() == nil && p.current() == pid {
		pause(ctx, time.Millisecond)
	}
}

func (p *process) current() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}
