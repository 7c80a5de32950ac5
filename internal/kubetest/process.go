package kubetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// logTail is how much of what a process wrote stands in an error.
const logTail = 2048

// process is one component that runs.
type process struct {
	name  string
	log   string
	pid   int
	kill  func() error
	ended chan struct{}
}

// run starts a component of the program; what it writes goes to a file in dir.
func run(program, dir, name string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, append([]string{name}, args...)...)
	command.Dir, command.Stdout, command.Stderr = dir, log, log
	// What a person has set for clusters of their own, and keeps at home, is not for these.
	command.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	if rate, ok := os.LookupEnv("GOGC"); ok { // Where there is memory for it: tools/beside.sh.
		command.Env = append(command.Env, "GOGC="+rate)
	}
	started := make(chan error)
	go func() {
		defer func() { _ = log.Close() }()
		attr, release := dieWithUs()
		defer release()
		command.SysProcAttr = attr
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.pid, p.kill = command.Process.Pid, command.Process.Kill
	return p, nil
}

// stop ends the process at once and returns when it is gone. What it kept is thrown away.
func (p *process) stop() {
	_ = p.kill()
	<-p.ended
}

// check says how a process ended that should not have.
func (p *process) check() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s %w:\n%s", p.name, errEnded, p.tail())
	default:
		return nil
	}
}

// tail is the end of what the process wrote.
func (p *process) tail() []byte {
	said, _ := os.ReadFile(p.log)
	return bytes.TrimSpace(said[max(0, len(said)-logTail):])
}
