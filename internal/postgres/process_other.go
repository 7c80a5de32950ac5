//go:build unix && !linux

package postgres

import (
	"os/exec"
	"strconv"
	"syscall"
)

// childAttributes put the child into a process group of its own, so that a
// Ctrl-C at the terminal does not stop the database before the services that
// still write to it. There is no signal at the parent's death here: the next
// start stops an orphan.
func childAttributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true}
}

// commandLine returns the arguments of a running process, separated by spaces.
func commandLine(pid int) (string, error) {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(out), err
}
