package postgres

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// childAttributes make the child leave with this process: the kernel sends it
// PostgreSQL's fast shutdown when the thread that started it ends. A process
// group of its own keeps a Ctrl-C at the terminal from stopping the database
// before the services that still write to it.
func childAttributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true, Pdeathsig: syscall.SIGINT}
}

// commandLine returns the arguments of a running process, separated by spaces.
func commandLine(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", err
	}
	return string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '})), nil
}
